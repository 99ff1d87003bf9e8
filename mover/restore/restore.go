// SPDX-License-Identifier: Apache-2.0

// Package restore gives a volume what the manifest of an export holds and objects cannot: links,
// empty directories, modes, times, extended attributes and owners. It comes after every file was
// verified, changes no content, and knows no S3.
package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Restore is what is restored, and where: the part of a manifest that is of the population.
type Restore struct {
	volume *volume.Volume
	plan   *plan.Plan
	filter plan.Filter // Of the population.
	files  files       // Those that are as they were exported.
	others []manifest.Entry
	stale  int64 // Files that are not.
	// over are directories that are not selected, and may lead to what is: those whose paths the last one begins with.
	over []manifest.Entry

	missing      int
	firstMissing string

	identity hash.Hash
	line     []byte // Room for what is added to it.

	owned func() error // Fails when the volume is not this mover's any more.
}

// New has nothing to restore yet. The plan is whole.
func New(v *volume.Volume, p *plan.Plan, f plan.Filter) *Restore {
	r := &Restore{volume: v, plan: p, filter: f, files: newFiles(p), identity: sha256.New()}
	r.identify("target %q", v.Target)
	return r
}

func (r *Restore) identify(format string, of ...any) {
	r.line = append(fmt.Appendf(r.line[:0], format, of...), '\n')
	_, _ = r.identity.Write(r.line) // A hash does not fail.
}

// Identity tells this restore from any that gives a file or directory other modes, owners, times or attributes. It goes
// by all of the manifest, not by what is selected: what is not selected any more is removed, as links always are.
func (r *Restore) Identity() string { return hex.EncodeToString(r.identity.Sum(nil)) }

// Add takes the next entry of the manifest. They come sorted, and each path once.
func (r *Restore) Add(e manifest.Entry) {
	if e.Type != manifest.Link {
		r.identify("%q %o %d %d %d %q", e.Path, e.Mode, e.ModTime, e.UID, e.GID, e.XAttrs)
	}
	for len(r.over) > 0 && !strings.HasPrefix(e.Path, r.over[len(r.over)-1].Path) {
		r.over = r.over[:len(r.over)-1]
	}
	switch wanted := r.wants(e); {
	case !wanted && e.Type == manifest.Directory:
		r.over = append(r.over, e)
	case !wanted:
	case e.Type == manifest.File:
		r.addFile(e)
	default:
		r.addLeading(e.Path)
		r.others = append(r.others, e)
	}
}

// addLeading adds the directories that lead to a link or directory: they are made for it.
func (r *Restore) addLeading(to string) {
	r.over = slices.DeleteFunc(r.over, func(d manifest.Entry) bool {
		if !strings.HasPrefix(to, d.Path+"/") {
			return false
		}
		at, _ := slices.BinarySearchFunc(r.others, d.Path, func(e manifest.Entry, path string) int {
			return strings.Compare(e.Path, path)
		})
		r.others = slices.Insert(r.others, at, d) // They stay sorted, and parents come first.
		return true
	})
}

func (r *Restore) addFile(e manifest.Entry) {
	i, planned := r.plan.Find(e.Path)
	switch {
	case planned && e.IsObject(r.plan.Entries.Size(i), r.plan.TagText(r.plan.Entries.At(i).ETag)):
		r.files.set(i, e)
	case planned || r.plan.HasDir(e.Path): // By now a directory has its name: it was left out by policy.
		r.stale++
	default:
		r.missing++
		if r.missing == 1 {
			r.firstMissing = e.Path
		}
	}
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

// Run restores everything. Begin is called before attributes are: until then nothing has been made that the next
// attempt would not remove. Directories come last, the deepest first: what is made in them changes their times, and
// their modes may forbid it. Owned is asked before each entry: one that hangs may outlast that another mover completes
// the volume.
func (r *Restore) Run(ctx context.Context, owned, begin func() error) (Result, error) {
	r.owned = owned
	result := Result{Stale: r.stale}
	made, err := r.makeOthers(ctx, &result)
	if err == nil {
		err = begin()
	}
	if err == nil {
		err = r.restoreOthers(ctx, slices.All(r.others), made, manifest.Link, &result)
	}
	if err != nil {
		return result, err
	}
	for i := range r.files.all() {
		if err := r.goesOn(ctx); err != nil {
			return result, err
		}
		if err := r.attributes(r.files.entry(i), &result); err != nil {
			return result, err
		}
		result.Files++
	}
	if err := r.volume.SyncNames(ctx); err != nil { // Before a mode may forbid it.
		return result, err //nolint:wrapcheck // The volume says what failed.
	}
	err = r.restoreOthers(ctx, slices.Backward(r.others), made, manifest.Directory, &result)
	return result, err
}

// goesOn says why nothing more is to be restored.
func (r *Restore) goesOn(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // Why the mover is to end.
	}
	return r.owned()
}

// makeOthers makes the directories and the links, and tells which of them are there.
func (r *Restore) makeOthers(ctx context.Context, result *Result) (made []bool, err error) {
	made = make([]bool, len(r.others))
	for i, e := range r.others {
		if err := r.goesOn(ctx); err != nil {
			return nil, err
		}
		made[i], err = r.place(e)
		switch {
		case err != nil:
			return nil, err
		case !made[i]:
			result.Stale++
		case e.Type == manifest.Directory:
			result.Directories++
		default:
			result.Links++
		}
	}
	return made, nil
}

// restoreOthers gives all links, or all directories, that were made their attributes.
func (r *Restore) restoreOthers(
	ctx context.Context, others iter.Seq2[int, manifest.Entry], made []bool, kind manifest.Type, result *Result,
) error {
	for i, e := range others {
		if !made[i] || e.Type != kind {
			continue
		}
		if err := r.goesOn(ctx); err != nil {
			return err
		}
		if err := r.attributes(e, result); err != nil {
			return err
		}
	}
	return nil
}

// wants tells whether an entry is part of the population, or leads to a file that is.
func (r *Restore) wants(e manifest.Entry) bool {
	return r.filter.Selects(e.Path) || e.Type == manifest.Directory && r.plan.HasDir(e.Path)
}

// Missing counts the files of the manifest that are part of the population and that S3 has no objects
// of, and names the first.
func (r *Restore) Missing() (count int, first string) { return r.missing, r.firstMissing }

// Displaced counts the links and directories of the manifest that have the path of an object, or one that leads through
// it, or, for a link, a directory in their place, and names the first.
func (r *Restore) Displaced() (count int, first string) {
	for _, e := range r.others {
		if !r.isDisplaced(e) {
			continue
		}
		count++
		if count == 1 {
			first = e.Path
		}
	}
	return count, first
}

func (r *Restore) isDisplaced(e manifest.Entry) bool {
	if e.Type == manifest.Link && r.plan.HasDir(e.Path) {
		return true
	}
	for at := e.Path; at != "."; at = path.Dir(at) {
		if _, file := r.plan.Find(at); file {
			return true
		}
	}
	return false
}

// place makes sure that a directory or link is there, and reports false when something else is in its place.
func (r *Restore) place(e manifest.Entry) (bool, error) {
	if e.Type == manifest.Link {
		return r.link(e)
	}
	return r.directory(e.Path)
}

func (r *Restore) directory(name string) (bool, error) {
	err := r.volume.Data.MkdirAll(name, volume.DirMode)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return false, fmt.Errorf("make directory %s: %w", plan.Quote(name), fault.NotWritable(err))
}

func (r *Restore) link(e manifest.Entry) (bool, error) {
	if ok, err := r.directory(path.Dir(e.Path)); !ok || err != nil {
		return false, err
	}
	err := r.volume.Data.Symlink(string(e.Target), e.Path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		target, err := r.volume.Data.Readlink(e.Path)
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
func (r *Restore) IsDone() bool {
	for i := range r.files.all() {
		s, err := r.volume.Stat(r.plan.Entries.At(i).Path)
		if err != nil || time.Duration(s.Mtim.Nano()-r.files.modTimes[i]).Abs() >= granule {
			return false
		}
	}
	return !slices.ContainsFunc(r.others, func(e manifest.Entry) bool { return !r.isThere(e) })
}

// isThere tells that a directory or link is as Run has left it, as far as its file system shows who wrote it.
func (r *Restore) isThere(e manifest.Entry) bool {
	if r.isDisplaced(e) {
		return true // It is as without a manifest.
	}
	if e.Type == manifest.Link {
		target, err := r.volume.Data.Readlink(e.Path)
		return err == nil && target == string(e.Target)
	}
	info, err := r.volume.Data.Lstat(e.Path)
	return err == nil && info.IsDir()
}

// IsRestored tells of something on a volume that no plan names whether the manifest does: a directory
// or a link. Name is its path below the target directory.
func (r *Restore) IsRestored(name string, mode fs.FileMode) bool {
	e, ok := manifest.Manifest{Entries: r.others}.Find(name)
	if !ok {
		return false
	}
	switch {
	case mode.IsDir():
		return e.Type == manifest.Directory
	case mode.Type() == fs.ModeSymlink:
		target, err := r.volume.Root.Readlink(path.Join(r.volume.Target, name))
		return e.Type == manifest.Link && err == nil && target == string(e.Target)
	}
	return false
}
