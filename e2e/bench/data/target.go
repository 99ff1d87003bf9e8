// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Kinds of targets.
const (
	onMemory = "tmpfs"
	onDisk   = "disk"
)

// memory is a tmpfs on every Linux.
const memory = "/dev/shm"

// targetDir is where targets of a kind are made; there is room for the objects.
func targetDir(cache, target string, objects []object) (string, error) {
	dir := memory
	if target == onDisk {
		dir = filepath.Join(cache, "bench-data")
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, err)
	}
	if target == onMemory && stat.Type != unix.TMPFS_MAGIC {
		return "", fmt.Errorf("%s is no tmpfs", dir)
	}
	need := int64(64 << 20)
	for _, o := range objects {
		need += o.Size + stat.Bsize
	}
	if have := int64(stat.Bavail) * stat.Bsize; have < need {
		return "", fmt.Errorf("%s has %d MB, and %d MB are needed", dir, have/1e6, need/1e6)
	}
	return dir, nil
}

// fresh makes an empty directory on a kind of target, and tells how to remove it.
func fresh(ctx context.Context, cache, target string, objects []object) (dir string, remove func() error, err error) {
	parent, err := targetDir(cache, target, objects)
	if err != nil {
		return "", nil, err
	}
	base, err := os.MkdirTemp(parent, "bench-target-")
	if err != nil {
		return "", nil, err
	}
	if target == onMemory {
		return base, func() error { return os.RemoveAll(base) }, nil
	}
	return freshDisk(ctx, base, objects)
}

// freshDisk makes a file system for one run, on a file of the disk: where the files of the run before were removed from
// the same one, ext4 takes seconds more for new ones, whoever writes them. All of it is made at once, so that the
// kernel does not go on with that during the run.
func freshDisk(ctx context.Context, base string, objects []object) (dir string, remove func() error, err error) {
	image, mount := filepath.Join(base, "image"), filepath.Join(base, "mount")
	dir = filepath.Join(mount, "data")
	size := int64(512 << 20)
	for _, o := range objects {
		size += o.Size + o.Size/8 + 8<<10
	}
	unmount := func() error { return nil }
	remove = func() error { return errors.Join(unmount(), os.RemoveAll(base)) }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	if err := errors.Join(os.Mkdir(mount, 0o755), os.WriteFile(image, nil, 0o644), os.Truncate(image, size)); err != nil {
		return "", nil, err
	}
	atOnce := "lazy_itable_init=0,lazy_journal_init=0"
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-i", "8192", "-E", atOnce, image); err != nil {
		return "", nil, err
	}
	if err := command(ctx, "mount", "-o", "loop", image, mount); err != nil {
		return "", nil, fmt.Errorf("a target on disk is a file system of its own, which root may mount: %w", err)
	}
	unmount = func() error { return command(context.WithoutCancel(ctx), "umount", mount) }
	return dir, remove, os.Mkdir(dir, 0o777)
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
