// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"iter"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// files are the attributes of files in little memory: of a million, each byte is a megabyte. A file has the index of
// its entry in the plan, which holds its path.
type files struct {
	plan     *plan.Plan
	modTimes []int64
	rights   []uint32 // The place in kinds; 0 is that of files that are not to be restored.
	kinds    []rights // Each once: most files have the same as others.
	known    map[rights]uint32
	xattrs   map[int][]manifest.XAttr
}

// rights are what many files have in common.
type rights struct{ mode, uid, gid uint32 }

func newFiles(p *plan.Plan) files {
	return files{
		plan:     p,
		modTimes: make([]int64, p.Entries.Len()),
		rights:   make([]uint32, p.Entries.Len()),
		kinds:    make([]rights, 1),
		known:    make(map[rights]uint32),
		xattrs:   make(map[int][]manifest.XAttr),
	}
}

// set takes the attributes of a file.
func (f *files) set(i int, e manifest.Entry) {
	kind := rights{mode: e.Mode, uid: e.UID, gid: e.GID}
	at, ok := f.known[kind]
	if !ok {
		at = uint32(len(f.kinds)) // #nosec G115 -- a plan of 2^31 entries does not fit in memory.
		f.kinds, f.known[kind] = append(f.kinds, kind), at
	}
	f.rights[i], f.modTimes[i] = at, e.ModTime
	if len(e.XAttrs) > 0 {
		f.xattrs[i] = e.XAttrs
	}
}

// all are the indices of those that are to be restored.
func (f *files) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, at := range f.rights {
			if at != 0 && !yield(i) {
				return
			}
		}
	}
}

// entry is that of the manifest, as far as it is restored.
func (f *files) entry(i int) manifest.Entry {
	of := f.kinds[f.rights[i]]
	return manifest.Entry{
		Path: f.plan.Entries.At(i).Path, Type: manifest.File, ModTime: f.modTimes[i],
		Mode: of.mode, UID: of.uid, GID: of.gid, XAttrs: f.xattrs[i],
	}
}
