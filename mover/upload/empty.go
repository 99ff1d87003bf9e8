// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// isEmpty tells that nothing but directories is there, which is what a mount point and a new disk have.
func isEmpty(entries []manifest.Entry) bool {
	return !slices.ContainsFunc(entries, func(e manifest.Entry) bool { return e.Type != manifest.Directory })
}

// emptier tells that some entries have no regular file, or nothing at all, where others have some: EmptierThan of an
// S3Export asks the same. Links alone are little to go by.
func emptier(entries, than []manifest.Entry) bool {
	return !hasRegular(entries) && hasRegular(than) || isEmpty(entries) && !isEmpty(than)
}

func hasRegular(entries []manifest.Entry) bool {
	return slices.ContainsFunc(entries, func(e manifest.Entry) bool { return e.Type == manifest.File })
}

// countFiles counts links, too: nothing but a manifest has them.
func countFiles(entries []manifest.Entry) int {
	n := 0
	for _, e := range entries {
		if e.Type != manifest.Directory {
			n++
		}
	}
	return n
}

// refuseEmpty ends a run that would take the place of an export that has more than links or directories, whoever has
// made that, and it has not: a disk that is not mounted is an empty volume, too. Nothing of that export is deleted, and
// its manifest, which alone knows of links, directories and attributes, is not replaced.
func (x *export) refuseEmpty(ctx context.Context) error {
	there, found := x.last.here, "no file"
	if !isEmpty(x.scan.Entries) {
		found = "no file but symbolic links"
	}
	if hasRegular(x.scan.Entries) || !there.unknown && !emptier(x.scan.Entries, there.Entries) {
		return nil
	}
	left, err := x.giveBack(ctx)
	if err != nil { // The next attempt comes by here again.
		return err
	}
	at := manifest.Key
	if x.last.aside {
		at = manifest.PreviousKey
	}
	if x.last.here.unknown {
		return fault.New(
			wire.SourceEmpty,
			"%s is selected on the volume, and the manifest of the export before, %s, cannot be read, as one that is "+
				"damaged or of a later version, so that it may list files; it was not replaced%s. See that the volume is the "+
				"right one, is mounted and has its files, and that spec.include and spec.exclude select them; if there is to be "+
				"no file, export to another prefix, or remove that manifest by hand",
			found,
			plan.Quote(x.home.key(at)),
			left,
		)
	}
	return fault.New(
		wire.SourceEmpty,
		"%s is selected on the volume, and the export before has %d below prefix %s; they were not removed, nor was "+
			"its manifest replaced%s. See that the volume is the right one, is mounted and has its files, and that "+
			"spec.include and spec.exclude select them; if there is to be no file, export to another prefix, or remove %s "+
			"and the objects that it lists by hand",
		found,
		countFiles(there.Entries),
		plan.Quote(x.home.base),
		left,
		plan.Quote(x.home.key(at)),
	)
}

// giveBack has the export before be the complete one again, where this run has moved its manifest aside and all that it
// lists is there: there may be no run after it that completes. It says what is left where that is not so.
func (x *export) giveBack(ctx context.Context) (string, error) {
	if !x.last.aside || !x.policy.marked || x.options.DryRun {
		return "", nil
	}
	x.endLate(ctx) // As ahead of any proof.
	if err := x.outlastCopies(ctx); err != nil {
		return "", err
	}
	if x.last.here.unknown {
		return x.giveBackUnread(ctx)
	}
	m := x.last.here.Manifest
	lost, err := x.lost(ctx, x.home.base, m)
	if err != nil {
		return "", err
	}
	if lost.Count > 0 {
		return fmt.Sprintf(", but %d objects of that export were replaced or removed since it began: %s; it cannot be "+
			"restored as it was, and what it had is listed in %s", lost.Count, strings.Join(lost.First, ", "),
			plan.Quote(x.home.key(manifest.PreviousKey))), nil
	}
	if err := x.alone(ctx); err != nil {
		return "", err
	}
	if err := x.writeManifest(ctx, m); err != nil {
		return "", err
	}
	x.last.aside = false
	x.Log("the export before is the complete one again")
	return "", x.remove(ctx, x.home.key(manifest.PreviousKey))
}

// refuseEmptied ends a removal after which the claim might have no run of any use: one may have come to stay since the
// run was marked that found less.
func (p *prune) refuseEmptied(k wire.KeptRun, m manifest.Manifest) error {
	if !p.whole || !emptier(m.Entries, p.old.Entries) {
		return nil
	}
	return fault.New(
		wire.RequestRejected,
		"the newest run, below prefix %s, has no regular file, and this one has %d files, so that it may be the last one "+
			"that is of any use; nothing was removed. See that the volume is mounted and has its files, and export it again; "+
			"if it is to be empty, remove the objects of this run by hand, and then the S3Export with the UID %s",
		plan.Quote(k.Prefix),
		countFiles(p.old.Entries),
		p.options.Run,
	)
}
