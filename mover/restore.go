// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/restore"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// refuseRestore ends a mover that would have no manifest, or no files, to restore attributes of.
func refuseRestore(r wire.Request) error {
	prefix := plan.ListPrefix(r.Source)
	switch {
	case r.Volume.Mode != wire.Filesystem:
		return fault.New(wire.RequestRejected, "spec.restoreAttributes is for Filesystem volumes; remove it")
	case len(r.Source.Objects) > 0:
		return fault.New(
			wire.RequestRejected,
			"spec.restoreAttributes is for an export below spec.prefix, and spec.objects is set; "+
				"remove one of them",
		)
	case prefix != "" && !strings.HasSuffix(prefix, "/"):
		return fault.New(
			wire.RequestRejected,
			"spec.restoreAttributes is for an export below spec.prefix, which %s does not name; "+
				"use prefixMode: Directory",
			plan.Quote(prefix),
		)
	}
	return nil
}

// readManifest reads what is to be restored. The listing is older: what it holds besides is stale.
func (t *transfer) readManifest(ctx context.Context) error {
	if !t.request.Policy.RestoreAttributes {
		return nil
	}
	filter, err := plan.NewFilter(t.request.Source)
	if err != nil {
		return err
	}
	m, found, err := upload.ReadManifest(ctx, t.request, t.uploads)
	if err != nil {
		return err
	}
	if run := t.request.Policy.Run; found && run.UID != "" && (m.Run != run.UID || m.Digest != run.Digest) {
		return fault.New(wire.SourceChanged, "another export has ended below prefix %s since it was listed",
			plan.Quote(plan.ListPrefix(t.request.Source)))
	}
	if !found {
		if err := t.refuseUnfinished(ctx); err != nil {
			return err
		}
		return fault.New(
			wire.NoSuchObject,
			"there is no complete export below prefix %s, because %s does not exist; correct "+
				"spec.prefix, or remove spec.restoreAttributes",
			plan.Quote(plan.ListPrefix(t.request.Source)),
			plan.Quote(plan.ListPrefix(t.request.Source)+manifest.Key),
		)
	}
	t.attributes = &restore.Restore{Volume: t.volume, Plan: t.plan, Manifest: m, Filter: filter}
	return t.refuseLoss()
}

// refuseUnfinished is for a prefix below which an export has left something and no manifest: time may tell.
func (t *transfer) refuseUnfinished(ctx context.Context) error {
	begun, err := upload.IsBegun(ctx, t.request, t.uploads)
	if err != nil || !begun {
		return err
	}
	return fault.New(
		wire.SourceChanged,
		"an export below prefix %s is under way, has failed, or is being removed: there is no complete one; wait for it, "+
			"export again, name another, or remove spec.restoreAttributes to load what is there",
		plan.Quote(plan.ListPrefix(t.request.Source)),
	)
}

// refuseLoss ends a restore of an export of which something is gone: its manifest says what was
// complete. The manifest may also be of a run that ended after the listing; the next attempt tells.
func (t *transfer) refuseLoss() error {
	n, first := t.attributes.Missing()
	if n == 0 {
		return t.refuseDisplaced()
	}
	return fault.New(
		wire.SourceChanged,
		"the export below prefix %s is not whole: %d of its files have no object any more, the first is %s; "+
			"restore the objects, export again, or remove spec.restoreAttributes to load what is left",
		plan.Quote(plan.ListPrefix(t.request.Source)),
		n,
		plan.Quote(first),
	)
}

// refuseDisplaced ends a restore of a run that the source names, if something was put in the place of a link or of a
// directory: the run would be restored without that.
func (t *transfer) refuseDisplaced() error {
	if t.request.Policy.Run == (wire.ExportedRun{}) {
		return nil
	}
	n, first := t.attributes.Displaced()
	if n == 0 {
		return nil
	}
	return fault.New(
		wire.SourceChanged,
		"the export below prefix %s is not whole: objects have the places of %d of its links or directories, the first is "+
			"%s; remove those objects, or name another run",
		plan.Quote(plan.ListPrefix(t.request.Source)),
		n,
		plan.Quote(first),
	)
}

// alsoRestored tells what an attempt has restored that no listing names; nil for nothing.
func (t *transfer) alsoRestored() func(name string, e fs.DirEntry) bool {
	if t.attributes == nil {
		return nil
	}
	return func(name string, e fs.DirEntry) bool { return t.attributes.IsRestored(name, e.Type()) }
}

// loosen makes what an attempt had restored before it was interrupted accessible again.
func (t *transfer) loosen() error {
	if t.attributes == nil {
		return nil
	}
	if err := t.journal.Owned(); err != nil {
		return err
	}
	return restore.Loosen(t.volume)
}

// restoreAttributes comes after the last look at the files, because it changes their times.
func (t *transfer) restoreAttributes(ctx context.Context) error {
	if t.attributes == nil {
		return nil
	}
	if err := t.journal.Owned(); err != nil {
		return err
	}
	r, err := t.attributes.Run(ctx)
	t.status.restored = &r
	return err
}

// restoreSummary is for people; empty where nothing was to be restored.
func (s *status) restoreSummary() string {
	r := s.restored
	if r == nil {
		return ""
	}
	parts := []string{
		"", fmt.Sprintf("restored %d files, %d directories, %d links", r.Files, r.Directories, r.Links),
	}
	for _, p := range []struct {
		count int64
		what  string
	}{
		{r.Owners, "owners could not be restored, as the mover may not change them"},
		{r.Modes, "modes or times could not be restored"},
		{r.Attributes, "extended attributes could not be restored"},
		{r.Stale, "entries of the manifest are not as they were exported"},
	} {
		if p.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.count, p.what))
		}
	}
	return strings.Join(parts, "; ")
}
