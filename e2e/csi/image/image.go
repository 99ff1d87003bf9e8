// SPDX-License-Identifier: Apache-2.0

// Package image owns the files that hold volumes: sparse images, raw or with an ext4 file system of
// exactly the image's size. It refuses to format an image that already holds something.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// smallBytes divides small file systems from others, as mke2fs does: many small files on a small
// volume would otherwise find no inode.
const smallBytes = 512 << 20

// Create makes a sparse file of the given size. The file must not exist.
func Create(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create image: %w", err)
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return fmt.Errorf("size image: %w", err)
	}
	return nil
}

// Format makes an ext4 file system that fills the image. bytesPerInode of 0 means the usual ratio for the size.
//
// The settings make 50 volumes cheap and change nothing a mover can see: no blocks are reserved for
// root, inode tables are left sparse, and there is no journal, which would take 4 MiB of a 64 MiB
// volume. Blocks are of 4 KiB as on a real volume, whatever the size.
func Format(ctx context.Context, path string, size, bytesPerInode int64) error {
	kind, err := Detect(path)
	if err != nil {
		return err
	}
	if kind == Ext4 {
		return fmt.Errorf("format %s: it holds a file system already", path)
	}
	if bytesPerInode == 0 {
		bytesPerInode = defaultRatio(size)
	}
	return run(
		ctx,
		"mkfs.ext4",
		"-q",
		"-F",
		"-b",
		"4096",
		"-I",
		"256",
		"-m",
		"0",
		"-i",
		strconv.FormatInt(bytesPerInode, 10),
		"-O",
		"^has_journal",
		"-E",
		"lazy_itable_init=1,nodiscard",
		path,
	)
}

func defaultRatio(size int64) int64 {
	if size < smallBytes {
		return 4096
	}
	return 16384
}

// Grow makes an image larger. It never shrinks one: that would cut off data.
func Grow(path string, size int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("stat image: %w", err)
	}
	if info.Size() >= size {
		return nil
	}
	if err := os.Truncate(path, size); err != nil {
		return fmt.Errorf("grow image: %w", err)
	}
	return nil
}

// ErrOnline is returned when the kernel refuses to grow a mounted file system: for ext4 that takes
// CAP_SYS_RESOURCE, which a machine may not have to give.
var ErrOnline = errors.New("the kernel refuses to grow a mounted ext4 file system without CAP_SYS_RESOURCE")

// GrowMounted makes the mounted ext4 file system of a device as large as the device, and does nothing when it is.
func GrowMounted(ctx context.Context, device string) error {
	err := run(ctx, "resize2fs", device)
	if err != nil && strings.Contains(err.Error(), "Permission denied to resize filesystem") {
		return ErrOnline
	}
	return err
}

// GrowUnmounted makes the ext4 file system of an image that is not in use as large as the image. A
// copy of a volume in use looks like the disk of a machine that lost power, and resize2fs wants it
// checked first.
func GrowUnmounted(ctx context.Context, path string) error {
	var exit *exec.ExitError
	err := run(ctx, "e2fsck", "-f", "-p", path)
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != corrected) {
		return err
	}
	return run(ctx, "resize2fs", path)
}

// corrected is the exit code of e2fsck when it had something to repair and all is well now.
const corrected = 1

func run(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput() // the programs are constants of this file.
	if err != nil {
		return fmt.Errorf("run %s: %w: %.500s", name, err, output)
	}
	return nil
}
