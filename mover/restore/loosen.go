// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Loosen lets the mover read and write again what an attempt before it had begun to restore: a file
// that may not be read could not be compared, and nothing be removed from a directory that may not
// be written. Owned is asked before each mode is changed: to look at all of a volume takes as long as another mover
// needs to complete it, and so may a change that hangs.
func Loosen(ctx context.Context, v *volume.Volume, owned func() error) error {
	l := loosener{root: v.Root, owned: owned}
	return l.directory(ctx, ".")
}

type loosener struct {
	root  *os.Root
	owned func() error
}

// directory loosens what is in a directory, then what is below it.
func (l *loosener) directory(ctx context.Context, dir string) error {
	f, err := l.root.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // As in chmod.
	}
	if err != nil {
		return notLoosened(dir, err)
	}
	below, err := l.read(ctx, f, dir)
	_ = f.Close()
	for _, name := range below {
		if err == nil {
			err = l.directory(ctx, name)
		}
	}
	return err
}

// read goes through a directory some entries at a time.
func (l *loosener) read(ctx context.Context, f *os.File, dir string) (below []string, err error) {
	for {
		entries, end := f.ReadDir(1024) // Bounds the memory of a huge directory.
		directories, err := l.some(ctx, f, dir, entries)
		below = append(below, directories...)
		switch {
		case err != nil:
			return nil, err
		case errors.Is(end, io.EOF):
			return below, nil
		case end != nil:
			return nil, notLoosened(dir, end)
		}
	}
}

// some loosens some entries of a directory, and returns the directories among them.
func (l *loosener) some(
	ctx context.Context, f *os.File, dir string, entries []fs.DirEntry,
) (directories []string, err error) {
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		name := path.Join(dir, e.Name())
		if e.IsDir() && (name == wire.JournalDir || slices.Contains(plan.StorageOwn, name)) {
			continue
		}
		if e.IsDir() {
			directories = append(directories, name)
		}
		need := needed(f, e)
		if need == 0 {
			continue
		}
		if err := l.owned(); err != nil {
			return nil, err
		}
		if err := l.chmod(name, need); err != nil {
			return nil, notLoosened(name, err)
		}
	}
	return directories, nil
}

// needed is what a file or directory has to allow its owner, and does not; 0 for nothing.
func needed(in *os.File, e fs.DirEntry) fs.FileMode {
	const read, all = 0o600, 0o700
	need := uint32(read)
	switch {
	case e.IsDir():
		need = all
	case !e.Type().IsRegular():
		return 0
	}
	var stat unix.Stat_t
	if err := unix.Fstatat(int(in.Fd()), e.Name(), &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil || stat.Mode&need == need {
		return 0
	}
	return fs.FileMode(need)
}

// chmod leaves alone what is gone, and what has another owner; whether that matters is seen later.
func (l *loosener) chmod(name string, need fs.FileMode) error {
	info, err := l.root.Lstat(name)
	if err == nil {
		err = l.root.Chmod(name, info.Mode()|need)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err //nolint:wrapcheck // The caller says what failed.
}

func notLoosened(name string, err error) error {
	return fmt.Errorf("open %s, which was restored: %w", plan.Quote(name), fault.NotWritable(err))
}
