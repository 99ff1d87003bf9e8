// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// confirmRun compares what was listed with the manifest of the export that is to be restored: that a prefix was whole
// when the export ended does not say that it is now. The listing is older than the manifest, and what is fetched is
// compared with the listing.
func (l *listing) confirmRun(ctx context.Context) error {
	run := l.request.Policy.Run
	if run == (wire.ExportedRun{}) {
		return nil
	}
	found, err := upload.ReadManifestBelow(ctx, l.request, l.uploads, run.Prefix)
	if err != nil {
		return err
	}
	if found.Run != run.UID || found.Digest != run.Digest {
		return fault.New(wire.NoSuchObject, "the export that spec.fromExport has found is not below prefix %s any more: it "+
			"was removed, or another one has taken its place; name another run", plan.Quote(run.Prefix))
	}
	lost, first, err := l.lost(found)
	if err != nil || lost == 0 {
		return err
	}
	return fault.New(wire.SourceChanged, "the export below prefix %s is not whole: %d of its objects are gone or others, "+
		"the first is %s; restore the objects, or name another run", plan.Quote(run.Prefix), lost, plan.Quote(first))
}

// lost counts the selected files of a run whose objects are not as it has left them.
func (l *listing) lost(run manifest.Manifest) (count int, first string, err error) {
	filter, err := plan.NewFilter(l.request.Source)
	if err != nil {
		return 0, "", fmt.Errorf("compare with the export: %w", err)
	}
	listed := make(map[string]plan.Entry, l.plan.Entries.Len())
	for _, e := range l.plan.Entries.All() {
		listed[e.Key] = e
	}
	for _, e := range run.Entries {
		key := l.request.Policy.Run.Prefix + e.Path
		o, ok := listed[key]
		if e.Type != manifest.File || ok && l.isAsExported(e, o) || !ok && !l.asksFor(key, filter) {
			continue
		}
		if count == 0 {
			first = key
		}
		count++
	}
	return count, first, nil
}

// isAsExported compares an object with what the export has left. Some servers list no entity tags.
func (l *listing) isAsExported(e manifest.Entry, o plan.Entry) bool {
	tag := l.plan.TagText(o.ETag)
	return o.Size == e.Size && (tag == "" || e.ETag == "" || tag == e.ETag)
}

// asksFor tells that the object of a key would be in the listing, if it were there.
func (l *listing) asksFor(key string, filter plan.Filter) bool {
	s := l.request.Source
	if len(s.Objects) > 0 {
		return false // Those that are named are asked for one by one.
	}
	rest, below := strings.CutPrefix(key, plan.ListPrefix(s))
	return below && filter.Selects(rest)
}
