// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"io"
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

// seeManifest looks, before anything is listed, which manifest there is to read then.
func (t *transfer) seeManifest(ctx context.Context) (upload.Seen, error) {
	if !t.request.Policy.RestoreAttributes {
		return upload.Seen{}, nil
	}
	return upload.SeeManifest(ctx, t.request, t.uploads, plan.ListPrefix(t.request.Source))
}

// readManifest reads what is to be restored, of the run that was listed: its manifest was seen before. What an earlier
// attempt has fetched of another run is right by the listing, and would be mixed with the links and modes of this one.
func (t *transfer) readManifest(ctx context.Context, seen upload.Seen) error {
	if !t.request.Policy.RestoreAttributes {
		return nil
	}
	filter, err := plan.NewFilter(t.request.Source)
	if err != nil {
		return err
	}
	prefix := plan.ListPrefix(t.request.Source)
	var h manifest.Header
	var attributes *restore.Restore
	read, err := upload.ReadManifest(ctx, t.request, t.uploads, prefix, func(from io.Reader) (err error) {
		attributes = restore.New(t.volume, t.plan, filter)
		h, err = manifest.Each(from, attributes.Add)
		return err //nolint:wrapcheck // It says what failed.
	})
	switch run := t.request.Policy.Run; {
	case err != nil:
		return err
	case !read.There:
		return t.refuseUnfinished(ctx)
	case !read.Is(seen), run.UID != "" && (h.Run != run.UID || h.Digest != run.Digest):
		return fault.New(wire.SourceChanged, "the manifest below prefix %s is not the one that was there before its objects "+
			"were listed: another export has ended there meanwhile", plan.Quote(prefix))
	}
	t.attributes = attributes
	return t.refuseLoss()
}

// refuseUnfinished is for a prefix without a manifest. Where an export has left something of its own, time may tell.
func (t *transfer) refuseUnfinished(ctx context.Context) error {
	prefix := plan.ListPrefix(t.request.Source)
	begun, err := upload.IsBegun(ctx, t.request, t.uploads)
	if err != nil {
		return err
	}
	if begun {
		return fault.New(
			wire.SourceChanged,
			"an export below prefix %s is under way, has failed, or is being removed: there is no complete one; wait for it, "+
				"export again, name another, or remove spec.restoreAttributes to load what is there",
			plan.Quote(prefix),
		)
	}
	return fault.New(
		wire.NoSuchObject,
		"there is no complete export below prefix %s, because %s does not exist; correct "+
			"spec.prefix, or remove spec.restoreAttributes",
		plan.Quote(prefix),
		plan.Quote(prefix+manifest.Key),
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
