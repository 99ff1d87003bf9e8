// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// export sends what is below the path to S3. The volume is only read.
func (m *mover) export(ctx context.Context) error {
	if problem := plan.CheckTarget(m.request.Volume.TargetPath); problem != "" {
		return fault.New(
			wire.PathNotFound,
			"spec.path %s cannot be used: %s",
			plan.Quote(m.request.Volume.TargetPath),
			problem,
		)
	}
	if _, err := m.source.Identities.Get(ctx); err != nil {
		return err // Said better here than from inside the client.
	}
	tree, err := upload.OpenTree(m.options.Paths.Volume, m.request.Volume.TargetPath)
	if err != nil {
		return err
	}
	defer tree.Close()
	setup := m.uploadSetup()
	setup.Phase = m.progress.enter
	m.progress.enter(wire.Listing)
	m.progress.tally.Store(setup.Tally)
	m.exported, err = upload.Run(ctx, m.request, tree, setup)
	return err
}

// abort ends the uploads that a run has left.
func (m *mover) abort(ctx context.Context) error {
	if _, err := m.source.Identities.Get(ctx); err != nil {
		return err // Said better here than from inside the client.
	}
	var err error
	m.exported.Aborted, err = upload.Abort(ctx, m.request, m.uploadSetup())
	return err
}

func (m *mover) uploadSetup() upload.Setup {
	return upload.Setup{
		S3:          m.source.S3,
		Once:        m.source.Once,
		Faults:      m.faults,
		Secure:      m.source.Endpoint.Scheme == "https",
		IdleTimeout: m.options.IdleTimeout,
		Pause:       m.options.RoundPause,
		Tally:       new(upload.Tally),
		Shard:       m.options.Getenv(wire.ShardVariable),
		Log:         m.log.printf,
	}
}

// reportExport adds what an Export or an Abort has done.
func (m *mover) reportExport(r *wire.Report) {
	e := m.exported
	r.Objects, r.Bytes, r.Links, r.ManifestDigest = e.Objects, e.Bytes, e.Links, e.Digest
	r.SentObjects, r.SentBytes, r.CopiedObjects, r.UnchangedObjects = e.Sent, e.SentBytes, e.Copied, e.Unchanged
	r.DeletedObjects, r.SpecialFiles, r.ChangedFiles, r.OtherObjects = e.Deleted, e.Special, e.Changed, e.Others
	r.SkippedKeys, r.AbortedUploads, r.GoneFiles = e.Unsafe+e.Kept, e.Aborted, e.Gone+e.Unsettled
	r.Progressed = e.Progressed
	r.Plan, r.Shards = e.Plan, int32(e.Shards) //nolint:gosec // G115: wire.MostShards at most.
	r.Message = exportSummary(m.request, e)
}

// exportSummary is for people.
func exportSummary(r wire.Request, e upload.Result) string {
	switch {
	case r.Operation == wire.Abort:
		return fmt.Sprintf("ended %d uploads", e.Aborted)
	case e.Plan != "":
		return fmt.Sprintf("%d files, %d bytes, are to be sent in %d shards", e.Objects, e.Bytes, e.Shards)
	case r.Export.DryRun:
		return fmt.Sprintf("dry run: %d files, %d bytes would be sent, %d objects copied, %d left as they are, %d deleted",
			e.Sent, e.SentBytes, e.Copied, e.Unchanged, e.Deleted)
	}
	untidy := int64(0)
	if e.Untidy {
		untidy = 1
	}
	parts := []string{
		fmt.Sprintf("sent %d, copied %d, unchanged %d, deleted %d", e.Sent, e.Copied, e.Unchanged, e.Deleted),
	}
	if e.Whole {
		parts[0] = "complete since an earlier attempt"
	}
	for _, p := range []struct {
		count int64
		what  string
	}{
		{e.Unsafe, "paths cannot be keys and were left out"},
		{e.Kept, "directories of " + strings.Join(plan.StorageOwn, ", ") + " at the root of the volume were left out with " +
			"what is in them"},
		{e.Special, "sockets, FIFOs and devices were left out"},
		{e.Changed, "files changed while they were read and may be mixtures"},
		{e.Gone, "files were removed or renamed after the scan"},
		{e.Unsettled, "directories changed each time that they were looked at, so that files that were moved meanwhile may " +
			"be missing"},
		{e.Spared, "objects were not deleted for spec.deleteExtra therefore"},
		{e.Pathless, "objects were not deleted for spec.deleteExtra, because the export before, of an earlier version, " +
			"does not say of which path it was: remove them by hand if no file has them"},
		{untidy, "mark of the run is left below the prefix, because it could not be removed"},
		{e.Others, "other objects are below the prefix, and a population loads them, too"},
	} {
		if p.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.count, p.what))
		}
	}
	return strings.Join(parts, "; ")
}
