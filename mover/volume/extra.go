// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Extra removes what is below a directory and not in a plan. Only regular files go, and directories that
// this leaves empty: links, sockets and what was an empty directory before stay, as do other file systems that
// are mounted below, and the directories of the storage.
type Extra struct {
	Volume *InUse
	Dir    string
	Plan   *plan.Plan
	Filter plan.Filter // What it leaves out stays,
	Start  string      // and so do paths that begin otherwise.
	// Verified are the files that were verified, whatever their names are.
	Verified FileSet
	// Before is the time before which a temporary file of another run was changed last if that has ended.
	Before  time.Time
	Removed int64
}

// FileSet are files by device and inode: below a mount point some file systems show files of several devices, which
// count their inodes each for itself.
type FileSet map[[2]uint64]bool

// Add a file by what the system says of it.
func (f FileSet) Add(s *unix.Stat_t) { f[[2]uint64{s.Dev, s.Ino}] = true }

func (f FileSet) has(s *unix.Stat_t) bool { return f[[2]uint64{s.Dev, s.Ino}] }

// hiddenNames begin the names of files that are removed and still open, on NFS and FUSE.
var hiddenNames = []string{".nfs", fuseHidden}

const fuseHidden = ".fuse_hidden"

func isHidden(name string) bool {
	return slices.ContainsFunc(hiddenNames, func(start string) bool { return strings.HasPrefix(name, start) })
}

// Run removes. What is below the directory is the plan afterwards, and what was left alone.
func (x *Extra) Run(ctx context.Context) error { return x.directory(ctx, x.Dir) }

func (x *Extra) directory(ctx context.Context, dir string) error {
	all := func(string) bool { return true }
	dirs, err := x.Volume.each(ctx, dir, all, func(in *os.File, name string, stat *unix.Stat_t) (bool, error) {
		switch stat.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			return !x.Volume.isLeftAlone(name, stat) && !x.Filter.Prunes(x.planned(name)), nil
		case unix.S_IFREG:
			if x.isExtra(x.planned(name), stat) {
				return false, x.remove(in, name)
			}
		}
		return false, nil
	})
	for _, name := range dirs {
		if err == nil {
			err = x.below(ctx, name)
		}
	}
	return err
}

// planned is the path in the plan.
func (x *Extra) planned(name string) string {
	if x.Dir == "." {
		return name
	}
	return strings.TrimPrefix(name, x.Dir+"/")
}

// below removes what is extra in a directory, and the directory if it had something and is empty now.
func (x *Extra) below(ctx context.Context, name string) error {
	before := x.Removed
	if err := x.directory(ctx, name); err != nil || x.Removed == before || x.Plan.HasDir(x.planned(name)) {
		return err
	}
	in, err := x.Volume.directory(path.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	err = x.Volume.remove(in, name, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return x.explain(name, err)
}

func (x *Extra) isExtra(planned string, stat *unix.Stat_t) bool {
	name := path.Base(planned)
	_, wanted := x.Plan.Find(planned)
	others := isTemporary(name) && !x.Volume.isOfThisRun(name) && time.Unix(stat.Mtim.Unix()).After(x.Before)
	ofSource := strings.HasPrefix(planned, x.Start) && x.Filter.Selects(planned)
	return ofSource && !wanted && !isHidden(name) && !others && !x.Verified.has(stat)
}

func (x *Extra) remove(in *os.File, name string) error {
	if err := x.Volume.remove(in, name, 0); err != nil {
		return x.explain(name, err)
	}
	x.Removed++
	return nil
}

func (x *Extra) explain(name string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fault.New(
		wire.VolumeNotWritable,
		"spec.deleteExtra: user %d, which the mover runs as, may not remove %s; every file of the source is in place. Set "+
			"spec.mover.podSecurityContext to a user that may, or remove spec.deleteExtra",
		os.Getuid(), plan.Quote(name),
	).Because(err)
}
