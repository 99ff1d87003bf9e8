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
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Sweep walks the volume and removes whatever the plan does not want: leftovers
// of earlier attempts and of mc, links, devices, directories nobody needs. A
// planned regular file is shown to keep and removed when keep says no.
// Directories of the storage and our journal at the root are left alone.
type Sweep struct {
	Volume *Volume
	// Owned is asked before anything is removed.
	Owned func() error
	Plan  *plan.Plan
	Keep  func(i int, stat *unix.Stat_t) bool
	// Also tells of more that may stay, by the path below the target; nil for nothing.
	Also    func(planned string, e fs.DirEntry) bool
	Removed int
	Dirs    int64 // Planned directories that were found.
}

// Run sweeps the volume from its root on.
func (s *Sweep) Run(ctx context.Context) error {
	return s.directory(ctx, ".")
}

// directory sweeps one directory, given by its path below the volume's root.
func (s *Sweep) directory(ctx context.Context, dir string) error {
	f, err := s.Volume.Root.Open(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
	}
	defer func() { _ = f.Close() }()
	extra, below, err := s.read(ctx, f, dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
	}
	for _, name := range extra {
		if err := s.Owned(); err != nil { // The removal before may have hung for as long as another mover needs.
			return err
		}
		if err := s.Volume.Root.RemoveAll(name); err != nil {
			return fmt.Errorf("remove %s: %w", plan.Quote(name), fault.NotWritable(err))
		}
		s.Removed++
	}
	for _, name := range below {
		if err := s.directory(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// read judges all entries of a directory before one is removed, which could make ReadDir
// miss others.
func (s *Sweep) read(ctx context.Context, f *os.File, dir string) (extra, below []string, err error) {
	for {
		entries, err := f.ReadDir(1024) // Bounds the memory of a huge directory.
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch s.judge(f, name, e) {
			case remove:
				extra = append(extra, name)
			case descend:
				below = append(below, name)
			case leave:
			}
		}
		if errors.Is(err, io.EOF) {
			return extra, below, nil
		}
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return nil, nil, err
		}
	}
}

type verdict int

const (
	leave verdict = iota
	remove
	descend
)

// judge decides about one directory entry.
//
//nolint:gocyclo // A case for each kind of entry.
func (s *Sweep) judge(dir *os.File, name string, e fs.DirEntry) verdict {
	if e.IsDir() && (slices.Contains(plan.StorageOwn, name) || name == wire.JournalDir) {
		return leave
	}
	planned, ancestor := s.planned(name)
	switch {
	case ancestor && e.IsDir():
		return descend
	case planned == "":
		return remove
	case s.Also != nil && s.Also(planned, e):
		if e.IsDir() {
			return descend
		}
		return leave
	case e.IsDir() && s.Plan.HasDir(planned):
		s.Dirs++
		return descend
	case !e.Type().IsRegular():
		return remove
	}
	if s.wanted(dir, planned, e.Name()) {
		return leave
	}
	return remove
}

// wanted tells whether a regular file is planned and keep takes it.
func (s *Sweep) wanted(dir *os.File, planned, name string) bool {
	i, ok := s.Plan.Find(planned)
	var stat unix.Stat_t
	return ok && unix.Fstatat(int(dir.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW) == nil && s.Keep(i, &stat)
}

// planned translates a path below the volume's root into one below the target
// directory. It is empty for what lies outside; an ancestor is a directory on
// the way to the target, or the target itself.
func (s *Sweep) planned(name string) (planned string, ancestor bool) {
	target := s.Volume.Target
	if target == "" {
		return name, false
	}
	if name == target || strings.HasPrefix(target, name+"/") {
		return "", true
	}
	if below, ok := strings.CutPrefix(name, target+"/"); ok {
		return below, false
	}
	return "", false
}
