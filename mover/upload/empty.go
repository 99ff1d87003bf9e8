// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"slices"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// isEmpty tells that nothing but directories is there, which is what a mount point and a new disk have.
func isEmpty(entries []manifest.Entry) bool {
	return !slices.ContainsFunc(entries, func(e manifest.Entry) bool { return e.Type != manifest.Directory })
}

func countFiles(entries []manifest.Entry, filter plan.Filter) int {
	n := 0
	for _, e := range entries {
		if e.Type == manifest.File && filter.Selects(e.Path) {
			n++
		}
	}
	return n
}

// refuseEmpty ends a run that would delete everything that the one before has exported: a disk that is not mounted
// is an empty volume, too.
func (x *export) refuseEmpty() error {
	if !x.options.DeleteExtra || !x.isOfSame(x.last.here) || !isEmpty(x.scan.Entries) {
		return nil
	}
	before := countFiles(x.last.here.Entries, x.filter)
	if before == 0 {
		return nil
	}
	return fault.New(
		wire.SourceEmpty,
		"no file is selected on the volume, the export before has %d, and spec.deleteExtra would have all of them removed "+
			"below prefix %s; nothing was removed. See that the volume is the right one, is mounted and has its files; if "+
			"it is to be empty, export it without spec.deleteExtra, and remove those objects by hand",
		before,
		plan.Quote(x.home.base),
	)
}

// refuseEmptied ends a removal after which the claim would have no run with a file in it.
func (p *prune) refuseEmptied(k wire.KeptRun, m manifest.Manifest) error {
	files := countFiles(p.old.Entries, plan.Filter{})
	if !p.whole || files == 0 || !isEmpty(m.Entries) {
		return nil
	}
	return fault.New(
		wire.RequestRejected,
		"the newest run, below prefix %s, has no file, and this one has %d, so that it may be the last one that is of any "+
			"use; nothing was removed. See that the volume is mounted and has its files, and export it again; if it is to "+
			"be empty, remove the objects of this run by hand, and then the S3Export with the UID %s",
		plan.Quote(k.Prefix),
		files,
		p.options.Run,
	)
}
