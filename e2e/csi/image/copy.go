// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Copy makes a copy that shares blocks with the source where the file system can, and leaves out
// its holes where not. The target must not exist; after an error it may, incomplete.
func Copy(ctx context.Context, source, target string) (err error) {
	from, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("open source image: %w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create image: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil {
		return nil
	}
	if err := copyData(ctx, from, to); err != nil {
		return fmt.Errorf("copy image: %w", err)
	}
	return nil
}

// copyData copies the ranges of a file that are not holes.
func copyData(ctx context.Context, from, to *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if err := to.Truncate(info.Size()); err != nil {
		return err
	}
	for end := int64(0); ctx.Err() == nil; {
		start, err := from.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // nothing but a hole follows.
		}
		if err != nil {
			return err
		}
		if end, err = from.Seek(start, unix.SEEK_HOLE); err != nil {
			return err
		}
		if err := copyRange(from, to, start, end); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func copyRange(from, to *os.File, start, end int64) error {
	for _, file := range []*os.File{from, to} {
		if _, err := file.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
	_, err := io.CopyN(to, from, end-start)
	return err
}
