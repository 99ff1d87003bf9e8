// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// isExtra tells that an object is to be deleted, of a path that no file of the scan has: the last
// manifest of this claim and path lists it, and it is still the one that is listed. What the filter leaves out
// was not looked for, and what another claim has exported, or this one of another path, is not known here: nothing of
// that is gone. Nor is what a manifest lists that does not say of which path it is.
func (x *export) isExtra(path string, size int64, etag string) bool {
	of := x.last.here.Path
	return of != nil && *of == x.request.Volume.TargetPath && x.isLeft(path, size, etag)
}

// isLeft is isExtra, of whichever path the run before was.
func (x *export) isLeft(path string, size int64, etag string) bool {
	if !x.options.DeleteExtra || x.last.here.Claim != x.request.Volume.ClaimUID || !x.filter.Selects(path) {
		return false
	}
	e, ok := x.exported(path)
	return ok && e.Type == manifest.File && e.Size == size && e.ETag == etag
}

// isPathless tells that an object stays because nobody knows of which path it is.
func (x *export) isPathless(path string, size int64, etag string) bool {
	return x.last.here.Path == nil && x.isLeft(path, size, etag)
}

// exported is a file of which the run before has exported the object, or has left that of the run before it.
func (x *export) exported(path string) (manifest.Entry, bool) {
	if e, ok := x.last.here.Find(path); ok {
		return e, true
	}
	if i, ok := find(x.last.here.Spared, path); ok {
		return x.last.here.Spared[i], true
	}
	return manifest.Entry{}, false
}

// spare has the manifest remember what is not deleted, so that the next run does it.
func (x *export) spare(keys []string) {
	x.result.Spared = int64(len(keys))
	for _, key := range keys {
		if e, ok := x.exported(strings.TrimPrefix(key, x.request.Source.Prefix)); ok {
			x.spared = append(x.spared, manifest.Entry{Path: e.Path, Type: e.Type, Size: e.Size, ETag: e.ETag})
		}
	}
	sortEntries(x.spared)
}

// stillExtra are the keys that are to be deleted at the end: a file that was gone may have come back, and was sent.
// A scan that did not settle tells of no file that it is gone: it may be where nobody has looked since.
func (x *export) stillExtra() []string {
	extra := slices.DeleteFunc(slices.Clone(x.there.extra), func(key string) bool {
		i, ok := find(x.scan.Entries, strings.TrimPrefix(key, x.request.Source.Prefix))
		return ok && x.scan.Entries[i].Type == manifest.File
	})
	if x.scan.Unsettled > 0 {
		x.spare(extra)
		return nil
	}
	return extra
}

// refuseBlocking ends a first attempt that would have to delete such a file's object before it sends anything: the file
// may have been renamed during the scan. Of the next attempt the object was in the way before its scan began, and a
// volume that never settles is exported all the same.
func (x *export) refuseBlocking() error {
	n := len(x.there.blocking)
	if n == 0 || x.scan.Unsettled == 0 || !x.request.First() {
		return nil
	}
	var objects Examples
	for _, key := range x.there.blocking {
		objects.add(key, "in the way")
	}
	return fault.New(
		wire.FileChanged,
		"%d objects are in the way of files: %s; spec.deleteExtra would have them removed, but %d directories changed each "+
			"time that they were looked at, so that the files of those objects may have another name by now; the next "+
			"attempt looks again, and removes them if they are still in the way; an export of a snapshot is not disturbed",
		n,
		strings.Join(objects.First, ", "),
		x.scan.Unsettled,
	)
}

// inWay tells that no volume can hold an object of this path beside what was scanned: something else
// has its path, or what would be its directory is none.
func (s *Scan) inWay(path string) bool {
	all := manifest.Manifest{Entries: s.Entries}
	name, isMarker := strings.CutSuffix(path, "/")
	if e, ok := all.Find(name); ok && (e.Type != manifest.Directory || !isMarker) {
		return true
	}
	return s.belowOther(name)
}

// belowOther tells that a directory of the path is something else.
func (s *Scan) belowOther(name string) bool {
	all := manifest.Manifest{Entries: s.Entries}
	for at, c := range []byte(name) {
		if c != '/' {
			continue
		}
		if e, ok := all.Find(name[:at]); ok && e.Type != manifest.Directory {
			return true
		}
	}
	return false
}

// delete deletes objects of files that are not there any more, each after one more look at it: the listing may be of
// hours ago, and somebody may have written there since.
func (x *export) delete(ctx context.Context, keys []string) error {
	for _, key := range keys {
		info, err := asker{x}.Head(ctx, key, minio.StatObjectOptions{})
		if isNoSuchKey(err) {
			continue
		}
		if err != nil {
			return err
		}
		if !x.isExtra(strings.TrimPrefix(key, x.request.Source.Prefix), info.Size, plan.TrimETag(info.ETag)) {
			x.Log("%s was written since, and stays", plan.Quote(key))
			continue
		}
		if err := x.remove(ctx, key); err != nil {
			return err
		}
		x.result.Deleted++
	}
	return nil
}
