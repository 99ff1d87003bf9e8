// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// temporaryStart is what the names of temporary files begin with.
const temporaryStart = ".s3populator-"

// temporaryName is what the names of temporary files of all runs are like.
var temporaryName = regexp.MustCompile(`^\.s3populator-[0-9A-Za-z-]+-[0-9a-f]{8}-\d+$`)

// isOfThisRun tells a temporary file of this run, or of a mover that this one has ended, from everything else by its
// name: a UID comes with no other file, unless somebody has copied one of ours.
func (u *InUse) isOfThisRun(name string) bool {
	ours := func(start string) bool { return strings.HasPrefix(name, start) }
	return isTemporary(name) && (ours(u.temporary) || slices.ContainsFunc(u.ended, ours))
}

// isTemporary tells what may be a temporary file of any run.
func isTemporary(name string) bool { return temporaryName.MatchString(name) }

// RemoveTemporaries removes what an earlier attempt of this run has left in a directory, and below it if so
// wanted, and what a mover has that was ended by TakeOver: a rename that it was about to make finds nothing then. Keep
// tells of paths that stay whatever they are named. No file of any other run is touched.
func (u *InUse) RemoveTemporaries(ctx context.Context, dir string, below bool, keep func(name string) bool) error {
	of := func(name string) bool { return below || u.isOfThisRun(name) }
	dirs, err := u.each(ctx, dir, of, func(in *os.File, name string, stat *unix.Stat_t) (bool, error) {
		switch {
		case stat.Mode&unix.S_IFMT == unix.S_IFDIR:
			return below && !u.isLeftAlone(name, stat), nil
		case stat.Mode&unix.S_IFMT == unix.S_IFREG && u.isOfThisRun(path.Base(name)) && !keep(name):
			return false, u.remove(in, name, 0)
		}
		return false, nil
	})
	for _, name := range dirs {
		err = errors.Join(err, u.RemoveTemporaries(ctx, name, true, keep))
	}
	return err
}

// isLeftAlone tells directories that belong to the storage, to a population, or to another file system.
func (u *InUse) isLeftAlone(name string, stat *unix.Stat_t) bool {
	return name == wire.JournalDir || slices.Contains(plan.StorageOwn, name) || stat.Dev != u.device
}

// remove a file or, with unix.AT_REMOVEDIR, an empty directory. What is gone already is no error.
func (u *InUse) remove(in *os.File, name string, flags int) error {
	if err := u.Owned(); err != nil {
		return err
	}
	err := unix.Unlinkat(int(in.Fd()), path.Base(name), flags)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: plan.Quote(name), Err: err}
	}
	u.touch(path.Dir(name))
	return nil
}

// each shows what is in a directory and has a name that is wanted, and returns the directories into which
// visit wants to go. All names are read before the first is shown, because removing one could hide others. A
// directory that is gone is empty, and so is one that may not be read.
func (u *InUse) each(
	ctx context.Context, dir string, wanted func(name string) bool,
	visit func(in *os.File, name string, stat *unix.Stat_t) (bool, error),
) (below []string, err error) {
	d, err := u.directory(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	names, err := namesIn(ctx, d, dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !wanted(n) {
			continue
		}
		name := join(dir, n)
		stat, err := statAt(d, n, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		enter, err := visit(d, name, &stat)
		if err != nil {
			return nil, err
		}
		if enter {
			below = append(below, name)
		}
	}
	return below, nil
}

// namesIn reads the names in a directory; there are none where it may not be read.
func namesIn(ctx context.Context, d *os.File, dir string) ([]string, error) {
	f, err := openAt(d, ".", dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var all []string
	for {
		names, err := f.Readdirnames(1024)
		all = append(all, names...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return nil, fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
		}
	}
}
