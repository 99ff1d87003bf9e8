// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// Up builds what is missing, starts a node and waits until pods run on it. On
// failure nothing is left but the logs, which the error names.
func Up(ctx context.Context, options Options) (*Node, error) {
	options = options.withDefaults()
	if options.Log == nil {
		options.Log = os.Stderr
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("start the node: it makes namespaces and mounts; run as root")
	}
	spec, err := prepare(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("prepare the node: %w", err)
	}
	n, err := start(ctx, spec)
	if err != nil {
		cleanup := context.WithoutCancel(ctx)
		return nil, errors.Join(fmt.Errorf("start the node: %w", err), Remove(cleanup, string(spec.Dir), true))
	}
	return n, nil
}

// prepare builds and writes down everything that the daemon needs.
func prepare(ctx context.Context, options Options) (rundir.Spec, error) {
	if err := toolchain.EnsureSystem(ctx, options.Log); err != nil {
		return rundir.Spec{}, err
	}
	cache, err := toolchain.Open(options.Log)
	if err != nil {
		return rundir.Spec{}, err
	}
	binaries, err := build(ctx, cache, options.Components.Skip)
	if err != nil {
		return rundir.Spec{}, err
	}
	spec := rundir.Spec{
		Binaries: binaries, Skip: options.Components.Skip, Args: options.Components.Args, Reserved: options.KubeletReserved,
		BinderSyncPeriod: options.BinderSyncPeriod.String(), GCThreshold: options.TerminatedPodThreshold,
		KeepBinds: []string{cache.Root}, Attached: options.Attached,
	}
	if !slices.Contains(spec.Skip, "snapshot-controller") {
		if spec.CRDs, err = cache.SnapshotCRDs(ctx); err != nil {
			return rundir.Spec{}, err
		}
	}
	for _, target := range append([]string{"pause"}, options.Images...) {
		archive, err := image.Build(ctx, target)
		if err != nil {
			return rundir.Spec{}, err
		}
		spec.Images = append(spec.Images, archive)
	}
	err = writeDir(&spec, options.Dir)
	return spec, err
}

// writeDir creates the run directory. One that holds anything is refused: it
// may be another node's.
func writeDir(spec *rundir.Spec, dir string) error {
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "s3populator-")
	} else {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return fmt.Errorf("choose the run directory: %w", err)
	}
	spec.Dir = rundir.Dir(dir)
	if err := spec.Dir.Check(); err != nil {
		return err
	}
	if inUse(dir) {
		return fmt.Errorf("run directory %s is in use; end that node first: go run ./e2e/cluster down --dir %s", dir, dir)
	}
	for _, d := range []string{
		dir, spec.Dir.Logs(), spec.Dir.PKI(), spec.Dir.Config(), spec.Dir.Temp(),
		filepath.Join(spec.Dir.CSI(), "data"), spec.Dir.S3(),
	} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("create the run directory: %w", err)
		}
	}
	token := make([]byte, 16)
	if _, err := rand.Read(token); err != nil {
		return fmt.Errorf("draw the administrator's token: %w", err)
	}
	spec.Token = hex.EncodeToString(token)
	return spec.Dir.WriteSpec(*spec)
}

// start runs the daemon and waits for its word.
func start(ctx context.Context, spec rundir.Spec) (*Node, error) {
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = readyRead.Close() }()
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, readyWrite.Close())
	}
	log, err := os.OpenFile(spec.Dir.Log("daemon"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, errors.Join(err, readyWrite.Close(), lifeRead.Close(), lifeWrite.Close())
	}
	//nolint:noctx // It outlives the caller's context.
	cmd := exec.Command(spec.Binaries["cluster"], "serve", "--dir", string(spec.Dir))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{readyWrite, lifeRead}
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin") // where ip(8) may be
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	err = errors.Join(err, log.Close(), readyWrite.Close(), lifeRead.Close())
	if err != nil {
		return nil, errors.Join(err, lifeWrite.Close())
	}
	go func() { _ = cmd.Wait() }() // so that it is no zombie while we live
	if err := awaitReady(ctx, readyRead, spec.Dir); err != nil {
		return nil, errors.Join(err, kill(ctx, cmd.Process.Pid), lifeWrite.Close())
	}
	n, err := Connect(string(spec.Dir))
	if err != nil {
		return nil, errors.Join(err, lifeWrite.Close())
	}
	n.lifeline = lifeWrite
	return n, nil
}

// awaitReady reads the daemon's word, which comes when the pipe closes.
func awaitReady(ctx context.Context, ready io.Reader, dir rundir.Dir) error {
	word := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(ready)
		word <- string(text)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-word:
		if text == "ready\n" {
			return nil
		}
		return fmt.Errorf("%s\nlogs are in %s", text, dir.Logs())
	}
}

// inUse says whether a directory holds anything but the logs of a former run,
// which give way.
func inUse(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() != "logs" {
			return true
		}
	}
	return os.RemoveAll(filepath.Join(dir, "logs")) != nil
}
