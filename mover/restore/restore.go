// SPDX-License-Identifier: Apache-2.0

// Package restore gives a volume what the manifest of an export holds and objects cannot: links,
// empty directories, modes, times, extended attributes and owners. It comes after every file was
// verified, changes no content, and knows no S3.
package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Restore is what is restored, and where.
type Restore struct {
	Volume   *volume.Volume
	Plan     *plan.Plan
	Manifest manifest.Manifest
	Filter   plan.Filter // Of the population.
}

// Result counts entries of the manifest.
type Result struct {
	Files, Directories, Links int64
	// Stale are files whose objects are others than the manifest lists, and entries in whose place is
	// something else. They are as without a manifest.
	Stale int64
	// Owners, Modes and Attributes could not be restored, because the mover may not, or because the file
	// system has none.
	Owners, Modes, Attributes int64
}

// Run restores everything. Directories come last, the deepest first: what is made in them changes
// their times, and their modes may forbid it.
func (r Restore) Run(ctx context.Context) (Result, error) {
	var result Result
	var directories []manifest.Entry
	for _, e := range r.Manifest.Entries {
		if ctx.Err() != nil {
			return result, context.Cause(ctx) //nolint:wrapcheck // Why the mover is to end.
		}
		here, err := r.entry(e, &result)
		if err != nil {
			return result, err
		}
		if here && e.Type == manifest.Directory {
			directories = append(directories, e)
		}
	}
	if err := r.Volume.SyncNames(ctx); err != nil { // Before a mode may forbid it.
		return result, err //nolint:wrapcheck // The volume says what failed.
	}
	for _, directory := range slices.Backward(directories) {
		if err := r.attributes(directory, &result); err != nil {
			return result, err
		}
	}
	return result, nil
}

// entry makes one entry, and gives it its attributes unless it is a directory. False means that
// nothing is to be restored of it.
func (r Restore) entry(e manifest.Entry, result *Result) (bool, error) {
	if !r.wants(e) {
		return false, nil
	}
	ok, err := r.place(e)
	switch {
	case err != nil:
		return false, err
	case !ok:
		result.Stale++
		return false, nil
	}
	switch e.Type {
	case manifest.File:
		result.Files++
	case manifest.Link:
		result.Links++
	case manifest.Directory:
		result.Directories++
		return true, nil
	}
	return true, r.attributes(e, result)
}

// wants tells whether an entry is part of the population.
func (r Restore) wants(e manifest.Entry) bool {
	return r.Filter.Selects(e.Path) || e.Type == manifest.Directory && r.Plan.HasDir(e.Path)
}

// Missing counts the files of the manifest that are part of the population and that S3 has no objects
// of, and names the first. One whose name is needed for a directory by now was left out by policy.
func (r Restore) Missing() (count int, first string) {
	for _, e := range r.Manifest.Entries {
		if _, ok := r.Plan.Find(e.Path); ok || e.Type != manifest.File || !r.wants(e) || r.Plan.HasDir(e.Path) {
			continue
		}
		count++
		if count == 1 {
			first = e.Path
		}
	}
	return count, first
}

// Displaced counts the links and directories of the manifest that have the path of an object, or one that leads through
// it, or, for a link, a directory in their place, and names the first.
func (r Restore) Displaced() (count int, first string) {
	for _, e := range r.Manifest.Entries {
		if e.Type == manifest.File || !r.wants(e) || !r.isDisplaced(e) {
			continue
		}
		count++
		if count == 1 {
			first = e.Path
		}
	}
	return count, first
}

func (r Restore) isDisplaced(e manifest.Entry) bool {
	if e.Type == manifest.Link && r.Plan.HasDir(e.Path) {
		return true
	}
	for at := e.Path; at != "."; at = path.Dir(at) {
		if _, file := r.Plan.Find(at); file {
			return true
		}
	}
	return false
}

// place makes sure that the entry is there, and reports false when something else is in its place.
func (r Restore) place(e manifest.Entry) (bool, error) {
	switch e.Type {
	case manifest.File:
		i, ok := r.Plan.Find(e.Path)
		return ok && r.Plan.Entries.Size(i) == e.Size && r.Plan.TagText(r.Plan.Entries.At(i).ETag) == e.ETag, nil
	case manifest.Directory:
		return r.directory(e.Path)
	case manifest.Link:
		return r.link(e)
	}
	return false, nil
}

func (r Restore) directory(name string) (bool, error) {
	err := r.Volume.Data.MkdirAll(name, volume.DirMode)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return false, fmt.Errorf("make directory %s: %w", plan.Quote(name), fault.NotWritable(err))
}

func (r Restore) link(e manifest.Entry) (bool, error) {
	if ok, err := r.directory(path.Dir(e.Path)); !ok || err != nil {
		return false, err
	}
	err := r.Volume.Data.Symlink(string(e.Target), e.Path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		target, err := r.Volume.Data.Readlink(e.Path)
		return err == nil && target == string(e.Target), nil
	case errors.Is(err, fs.ErrPermission):
		return false, fault.New(
			wire.VolumeNotWritable,
			"link %s cannot be made: %v; the file system of the volume may have no links: "+
				"remove spec.restoreAttributes, or leave links out with spec.exclude",
			plan.Quote(e.Path),
			fault.Pathless(err),
		).Because(
			err,
		)
	}
	return false, fmt.Errorf("make link %s: %w", plan.Quote(e.Path), fault.NotWritable(err))
}

// granule is how coarse a file system's times are at most: those of FAT are of two seconds.
const granule = 2 * time.Second

// IsDone tells whether all was restored before. A volume may also have been filled without that, for an earlier
// request: then its links and empty directories are missing, or its files have the times of when they were written.
func (r Restore) IsDone() bool {
	return !slices.ContainsFunc(r.Manifest.Entries, func(e manifest.Entry) bool {
		return r.wants(e) && !r.isThere(e)
	})
}

// isThere tells that an entry is as Run has left it, as far as its file system shows who wrote it.
func (r Restore) isThere(e manifest.Entry) bool {
	if e.Type == manifest.File {
		i, ok := r.Plan.Find(e.Path)
		if !ok || r.Plan.Entries.Size(i) != e.Size || r.Plan.TagText(r.Plan.Entries.At(i).ETag) != e.ETag {
			return true // It is as without a manifest.
		}
		s, err := r.Volume.Stat(e.Path)
		return err == nil && time.Duration(s.Mtim.Nano()-e.ModTime).Abs() < granule
	}
	if r.isDisplaced(e) {
		return true // Likewise.
	}
	if e.Type == manifest.Link {
		target, err := r.Volume.Data.Readlink(e.Path)
		return err == nil && target == string(e.Target)
	}
	info, err := r.Volume.Data.Lstat(e.Path)
	return err == nil && info.IsDir()
}

// IsRestored tells of something on a volume that no plan names whether the manifest does: a directory
// or a link. Name is its path below the target directory.
func (r Restore) IsRestored(name string, mode fs.FileMode) bool {
	e, ok := r.Manifest.Find(name)
	if !ok || !r.wants(e) {
		return false
	}
	switch {
	case mode.IsDir():
		return e.Type == manifest.Directory
	case mode.Type() == fs.ModeSymlink:
		target, err := r.Volume.Root.Readlink(path.Join(r.Volume.Target, name))
		return e.Type == manifest.Link && err == nil && target == string(e.Target)
	}
	return false
}
