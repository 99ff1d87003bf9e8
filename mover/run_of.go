// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"io"
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
	compared, err := newCompared(l)
	if err != nil {
		return err
	}
	var found manifest.Header
	var lost lostObjects
	_, err = upload.ReadManifest(ctx, l.request, l.uploads, run.Prefix, func(from io.Reader) (err error) {
		lost = lostObjects{}
		found, err = manifest.Each(from, func(e manifest.Entry) { lost.add(compared, e) })
		return err //nolint:wrapcheck // It says what failed.
	})
	if err != nil {
		return err
	}
	if found.Run != run.UID || found.Digest != run.Digest {
		return fault.New(wire.NoSuchObject, "the export that spec.fromExport has found is not below prefix %s any more: it "+
			"was removed, or another one has taken its place; name another run", plan.Quote(run.Prefix))
	}
	if lost.count == 0 {
		return nil
	}
	return fault.New(wire.SourceChanged, "the export below prefix %s is not whole: %d of its objects are gone or others, "+
		"the first is %s; restore the objects, or name another run", plan.Quote(run.Prefix), lost.count,
		plan.Quote(lost.first))
}

// lostObjects are the selected files of a run whose objects are not as it has left them.
type lostObjects struct {
	count int
	first string // Its key.
}

func (l *lostObjects) add(with *compared, e manifest.Entry) {
	if e.Type != manifest.File {
		return
	}
	key := with.request.Policy.Run.Prefix + e.Path
	o, ok := with.object(key)
	if ok && e.IsObject(o.Size, with.plan.TagText(o.ETag)) || !ok && !with.asksFor(key) {
		return
	}
	if l.count == 0 {
		l.first = key
	}
	l.count++
}

// compared is a listing that a run is compared with.
type compared struct {
	*listing

	filter plan.Filter
	named  map[string]plan.Entry // Those of spec.objects by their keys, because their paths may be others.
}

func newCompared(l *listing) (*compared, error) {
	filter, err := plan.NewFilter(l.request.Source)
	if err != nil {
		return nil, fmt.Errorf("compare with the export: %w", err)
	}
	c := &compared{listing: l, filter: filter, named: map[string]plan.Entry{}}
	if c.isNamed() {
		for _, e := range l.plan.Entries.All() {
			c.named[e.Key] = e
		}
	}
	return c, nil
}

// isNamed tells that the objects are named one by one.
func (c *compared) isNamed() bool { return len(c.request.Source.Objects) > 0 }

// object is what was listed under a key.
func (c *compared) object(key string) (plan.Entry, bool) {
	if c.isNamed() {
		e, ok := c.named[key]
		return e, ok
	}
	rest, below := strings.CutPrefix(key, c.plan.Base)
	i, ok := c.plan.Find(rest)
	if !below || !ok {
		return plan.Entry{}, false
	}
	return c.plan.Entries.At(i), true
}

// asksFor tells that the object of a key would be in the listing, if it were there.
func (c *compared) asksFor(key string) bool {
	if c.isNamed() {
		return false
	}
	return strings.HasPrefix(key, plan.ListPrefix(c.request.Source)) &&
		c.filter.Takes(strings.TrimPrefix(key, c.plan.Base))
}
