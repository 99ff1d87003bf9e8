// SPDX-License-Identifier: Apache-2.0

// Package image builds this project's container images from the same
// Dockerfiles as a release, without a daemon and without a registry, and keeps
// each archive until its contents change. It pulls nothing: the base is empty.
package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// Name is the name under which a target's image is loaded.
func Name(target string) string { return "docker.io/s3populator/" + target + ":dev" }

// keepArchives is how long an outdated archive stays, for runs that were about
// to load it.
const keepArchives = 24 * time.Hour

// Build returns an OCI archive of the target's image, which is called
// Name(target) inside.
func Build(ctx context.Context, target string) (string, error) {
	cache, err := toolchain.Open(os.Stderr)
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", target, err)
	}
	archive, err := build(ctx, cache, target)
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", target, err)
	}
	return archive, nil
}

func build(ctx context.Context, cache *toolchain.Cache, target string) (string, error) {
	files, err := contents(ctx, cache, target)
	if err != nil {
		return "", err
	}
	key, err := contentKey(files)
	if err != nil {
		return "", fmt.Errorf("hash the contents: %w", err)
	}
	dir := filepath.Join(cache.Root, "images")
	archive := filepath.Join(dir, target+"-"+key+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	started := time.Now()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	prune(dir, target)
	j := job{target: target, name: Name(target), arch: cache.Arch, files: files, archive: archive}
	if err := runBuildah(ctx, j); err != nil {
		return "", err
	}
	fmt.Fprintf(cache.Log, "built image %s in %s\n", Name(target), time.Since(started).Round(100*time.Millisecond))
	return archive, nil
}

// contents are the files of a target's context, by the names they have there.
func contents(ctx context.Context, cache *toolchain.Cache, target string) (map[string]string, error) {
	r, ok := recipes[target]
	if !ok {
		return nil, fmt.Errorf("unknown image; there are %v", Targets())
	}
	files, err := r.files(ctx, cache)
	if err != nil {
		return nil, err
	}
	files["Dockerfile"] = filepath.Join(cache.Source, r.dockerfile)
	return files, nil
}

// contentKey hashes every file under the name it has in the image's context.
func contentKey(files map[string]string) (string, error) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := os.Open(files[name])
		if err != nil {
			return "", err
		}
		content := sha256.New()
		if _, err := io.Copy(content, f); err != nil {
			return "", errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", name, content.Sum(nil))
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// job is one run of buildah.
type job struct {
	target, name string
	arch         string
	files        map[string]string // by name in the context
	archive      string
}

// trustAll is the policy for images that come from nowhere else.
const trustAll = `{"default": [{"type": "insecureAcceptAnything"}]}`

// runBuildah works in a directory of its own, storage included, so that runs
// side by side share nothing, and lets the archive appear complete or not at all.
func runBuildah(ctx context.Context, j job) error {
	tmp, err := os.MkdirTemp(filepath.Dir(j.archive), ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	in := func(name string) string { return filepath.Join(tmp, name) }
	for name, source := range j.files {
		if err := link(source, filepath.Join(in("context"), name)); err != nil {
			return fmt.Errorf("lay out the context: %w", err)
		}
	}
	if err := os.WriteFile(in("policy.json"), []byte(trustAll), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(
		ctx,
		"buildah",
		"--storage-driver",
		"vfs",
		"--root",
		in("root"),
		"--runroot",
		in("runroot"),
		"bud",
		"--isolation",
		"chroot",
		"--signature-policy",
		in("policy.json"),
		"--timestamp",
		"0",
		"--build-arg",
		"BASE=scratch",
		"--build-arg",
		"TARGETARCH="+j.arch,
		"--arch",
		j.arch,
		"--target",
		j.target,
		"--tag",
		"oci-archive:"+in("image.tar")+":"+j.name,
		"--file",
		filepath.Join(in("context"), "Dockerfile"),
		in("context"),
	)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("buildah: %w\n%s", err, out.String())
	}
	return os.Rename(in("image.tar"), j.archive)
}

// link places a file without copying it where the file system allows.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// prune removes a target's old archives; what cannot be removed is tried next
// time.
func prune(dir, target string) {
	old, _ := fs.Glob(os.DirFS(dir), target+"-*.tar")
	for _, name := range old {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && time.Since(info.ModTime()) > keepArchives {
			_ = os.Remove(filepath.Join(dir, name))
		}
	}
}
