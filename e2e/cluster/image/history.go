// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// Earlier is this project as it was at a commit, built and kept.
type Earlier struct {
	// Source is the top folder of its files.
	Source string
	commit string
	cache  *toolchain.Cache
}

// At unpacks a commit of this checkout's history, named by its full hash. It is kept until
// somebody empties the cache, because a commit never changes.
func At(ctx context.Context, commit string, log io.Writer) (*Earlier, error) {
	cache, err := toolchain.Open(log)
	if err != nil {
		return nil, fmt.Errorf("unpack commit %s: %w", commit, err)
	}
	root := filepath.Join(cache.Root, "history", commit)
	e := &Earlier{Source: filepath.Join(root, "source"), commit: commit, cache: cache}
	if _, err := os.Stat(e.Source); err == nil {
		return e, nil
	}
	if err := unpackCommit(ctx, cache.Source, commit, root, e.Source); err != nil {
		return nil, fmt.Errorf("unpack commit %s: %w", commit, err)
	}
	return e, nil
}

// unpackCommit lets a commit's files appear complete or not at all.
func unpackCommit(ctx context.Context, checkout, commit, root, into string) error {
	if err := exec.CommandContext(ctx, "git", "-C", checkout, "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		return fmt.Errorf("%s does not have it (%w); get the whole history: git fetch --unshallow", checkout, err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(root, ".source-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	archive, err := exec.CommandContext(ctx, "git", "-C", checkout, "archive", "--format=tar", commit).Output()
	if err != nil {
		return fmt.Errorf("git archive: %w", err)
	}
	tar := exec.CommandContext(ctx, "tar", "-x", "-C", tmp)
	tar.Stdin = bytes.NewReader(archive)
	if out, err := tar.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	if err := os.Rename(tmp, into); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// Name is the name under which the commit's image of a target is loaded.
func (e *Earlier) Name(target string) string {
	return "docker.io/s3populator/" + target + ":" + e.commit[:12]
}

// Build returns an OCI archive of the commit's image of a target, which is called Name(target)
// inside. All that goes into it is the commit's, the pin of mc too.
func (e *Earlier) Build(ctx context.Context, target string) (string, error) {
	archive := filepath.Join(filepath.Dir(e.Source), target+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	cache := *e.cache
	cache.Source = e.Source
	files, err := contents(ctx, &cache, target)
	if err != nil {
		return "", fmt.Errorf("build image %s of commit %s: %w", target, e.commit, err)
	}
	j := job{target: target, name: e.Name(target), arch: cache.Arch, files: files, archive: archive}
	if err := runBuildah(ctx, j); err != nil {
		return "", fmt.Errorf("build image %s of commit %s: %w", target, e.commit, err)
	}
	fmt.Fprintf(cache.Log, "built image %s\n", j.name)
	return archive, nil
}
