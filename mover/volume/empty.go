// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Empty removes everything but our journal and what the storage has of its own, and makes the target directory anew.
// It is for a volume of ours on which not even directories can be kept. Owned is asked before each removal: one may
// hang for as long as another mover needs to fill the volume, whose files have the names then that were read before.
func (v *Volume) Empty(ctx context.Context, owned func() error) error {
	if err := v.emptyDir(ctx, ".", owned); err != nil {
		return err
	}
	return v.MakeTarget()
}

// emptyDir goes on until nothing more can be removed: to remove names can hide others from who reads a directory. One
// that is not there any more is empty: some file systems tell a name twice.
func (v *Volume) emptyDir(ctx context.Context, dir string, owned func() error) error {
	for {
		removed, err := v.removeSome(ctx, dir, owned)
		if err != nil || removed == 0 {
			return err
		}
	}
}

// removeSome removes what a directory tells first.
func (v *Volume) removeSome(ctx context.Context, dir string, owned func() error) (removed int, err error) {
	entries, err := v.someOf(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() && (name == wire.JournalDir || slices.Contains(plan.StorageOwn, name)) {
			continue
		}
		if ctx.Err() != nil {
			return removed, context.Cause(ctx)
		}
		if e.IsDir() {
			if err := v.emptyDir(ctx, name, owned); err != nil {
				return removed, err
			}
		}
		if err := owned(); err != nil {
			return removed, err
		}
		less, err := v.removeName(name)
		if err != nil {
			return removed, err
		}
		if less {
			removed++
		}
	}
	return removed, nil
}

// removeName removes a file or an empty directory, and tells whether there is a name less. A file that is open
// elsewhere keeps the name that NFS has hidden it under, and FUSE gives it another one each time that it is removed.
func (v *Volume) removeName(name string) (less bool, err error) {
	err = v.Root.Remove(name)
	base := path.Base(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EBUSY) && isHidden(base):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove %s: %w", plan.Quote(name), fault.NotWritable(err))
	}
	return !strings.HasPrefix(base, fuseHidden), nil
}

// someOf are some entries of a directory, more than the storage has of its own.
func (v *Volume) someOf(dir string) ([]fs.DirEntry, error) {
	f, err := v.Root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != "." {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", plan.Quote(dir), fault.NotWritable(err))
	}
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(1024) // Bounds the memory of a huge directory.
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
	}
	return entries, nil
}
