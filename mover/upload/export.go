// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Result is what an export came to.
type Result struct {
	Digest         string // That of a population of what was exported.
	Objects, Bytes int64
	Links          int64 // Symbolic ones, which are in the manifest alone.
	// What this attempt did. For a dry run, what it would have done.
	Sent, SentBytes, Copied, Unchanged, Deleted int64
	Special                                     int64 // Sockets, FIFOs and devices.
	Unsafe                                      int64 // Left out, because their paths cannot be keys.
	Kept                                        int64 // Directories of the storage, left out with what is in them.
	Changed                                     int64 // Files that changed while they were read, twice.
	Gone                                        int64 // Files that were removed after the scan.
	// Unsettled are directories that changed each time that they were looked at, and Spared the objects that were not
	// deleted therefore.
	Unsettled, Spared int64
	// Pathless are objects that were not deleted because the manifest before does not say of which path they are.
	Pathless int64
	// Others are objects below the prefix that are not of this export. A population loads them, too.
	Others int64
	// Progressed means that the next attempt has less to do. Where everything was sent and is not found as
	// it was sent, or where a file changes each time, it may be the same again.
	Progressed bool
	// Whole means that an earlier attempt of this run had completed it, or the shard.
	Whole bool
	// Untidy means that the export is complete, and that what was kept for its attempts could not be removed.
	Untidy bool
	// Plan is the digest of a plan that others are to follow, and Shards how many it has; empty where none is left.
	Plan   string
	Shards int
	// Aborted are the uploads that an Abort has ended.
	Aborted int64
}

// has counts what an export holds.
func (r *Result) has(entries []manifest.Entry) {
	r.Objects, r.Bytes, r.Links = 0, 0, 0
	for _, e := range entries {
		switch e.Type {
		case manifest.File:
			r.Objects++
			r.Bytes += e.Size
		case manifest.Link:
			r.Links++
		case manifest.Directory:
		}
	}
}

// lacks is what the manifest says of what the run does not have, and doesLack reads it.
func (r *Result) lacks() manifest.Lacks {
	return manifest.Lacks{
		Changed: r.Changed, Gone: r.Gone, Unsettled: r.Unsettled, Unsafe: r.Unsafe, Kept: r.Kept, Special: r.Special,
	}
}

func (r *Result) doesLack(l manifest.Lacks) {
	r.Changed, r.Gone, r.Unsettled = l.Changed, l.Gone, l.Unsettled
	r.Unsafe, r.Kept, r.Special = l.Unsafe, l.Kept, l.Special
}

// export is one attempt of a run.
type export struct {
	*sender

	request wire.Request
	home    home
	tree    *Tree
	filter  plan.Filter
	started time.Time // Of this attempt.
	begin   time.Time // Of the scan.
	scan    *Scan
	last    lastRun
	there   *existing
	policy  policy
	result  Result
	gone    []string // Paths of files that were not there any more when they were to be sent.
	allSent bool     // What is left is to prove it.
	spared  []manifest.Entry
	copies  copies
	// copiesFail is set once S3 gave no answer to a copy of a part, and saidCopy once a copy was refused.
	copiesFail atomic.Bool
	saidCopy   sync.Once
}

// Run exports a tree. What it returns beside an error is what was done until then.
func Run(ctx context.Context, r wire.Request, tree *Tree, s Setup) (Result, error) {
	x := &export{sender: newSender(s, r), request: r, home: homeOf(r), tree: tree}
	x.started = time.Now() //nolint:forbidigo // Only ever subtracted from.
	err := x.run(ctx)
	x.result.SentBytes = x.Tally.SentBytes.Load()
	x.result.Progressed = x.progressed(err)
	return x.result, err
}

func (x *export) progressed(err error) bool {
	objects := x.result.Sent + x.result.Copied
	switch {
	case x.options.DryRun, x.result.Whole:
		return false
	case err == nil:
		return objects > 0
	case x.allSent:
		return false
	case fault.ReasonOf(err) == wire.FileChanged:
		return objects > 0
	}
	return objects > 0 || x.result.SentBytes > 0
}

func (x *export) run(ctx context.Context) error {
	switch x.options.Step {
	case wire.StepShard:
		return x.runShard(ctx)
	case wire.StepFinish:
		return x.runFinish(ctx)
	case wire.StepPlan:
		if kept, err := x.keepsPlan(ctx); kept || err != nil {
			return x.refused(err)
		}
	}
	return x.runWhole(ctx)
}

// runWhole does all of it, or leaves the sending to others.
func (x *export) runWhole(ctx context.Context) error {
	if err := x.prepare(ctx); err != nil || x.result.Whole {
		return err
	}
	todo, err := x.sort()
	if err != nil {
		return err
	}
	if x.options.DryRun {
		return x.rehearse(ctx, todo)
	}
	if err := x.markBegun(ctx); err != nil {
		return err
	}
	if x.options.Step == wire.StepPlan {
		if shared, err := x.share(ctx, todo); shared || err != nil {
			return x.refused(err)
		}
	}
	x.enter(wire.Transferring)
	if err := x.sendAll(ctx, todo); err != nil {
		return err
	}
	if err := x.sendMoved(ctx); err != nil {
		return err
	}
	x.countGone()
	x.enter(wire.Verifying)
	return x.finish(ctx)
}

func (x *export) enter(p wire.Phase) {
	if x.Phase != nil {
		x.Phase(p)
	}
}

// prepare reads everything that decides what is to be done, and writes nothing but what endCopies and giveBack do.
func (x *export) prepare(ctx context.Context) error {
	const most = 700 // What is left of a key is for what we keep below the prefix ourselves.
	if len(x.home.base) > most {
		return fault.New(wire.RequestRejected, "prefix %s is longer than %d bytes", plan.Quote(x.home.base), most)
	}
	if _, err := tags.NewTags(x.options.Tags, true); err != nil { // Else the client leaves them out.
		return fault.New(wire.RequestRejected, "spec.tags: %v; correct them", err)
	}
	if err := x.lookBack(ctx); err != nil {
		return x.refused(err)
	}
	if x.last.isOurs {
		x.completedBefore(ctx)
		return nil
	}
	since, resumed, err := x.lookForBegun(ctx)
	if err != nil {
		return x.refused(err)
	}
	if err := x.read(ctx); err != nil {
		return err
	}
	x.policy = policy{onExisting: x.options.OnExisting, resumed: resumed, since: since, marked: resumed}
	if err := x.refuseEmpty(ctx); err != nil {
		return x.refused(err)
	}
	if m := x.last.here; !resumed && m.Run == x.options.Run { // It was complete once, and its mark is gone.
		x.policy.resumed, x.policy.since = true, m.Created
	}
	if resumed {
		if err := x.lookForCopies(ctx); err != nil {
			return x.refused(err)
		}
	}
	return x.refused(x.listThere(ctx))
}

// read scans the volume and applies the policies that need no S3.
func (x *export) read(ctx context.Context) error {
	var err error
	if x.filter, err = plan.NewFilter(x.request.Source); err != nil {
		return err //nolint:wrapcheck // It is a failure.
	}
	if x.options.Key != "" && !x.tree.IsFile() {
		return fault.New(wire.PathNotFile, "path %s is a directory, and an export to one key takes one file; "+
			"name a file, or export to a prefix", plan.Quote(x.request.Volume.TargetPath))
	}
	x.begin = time.Now() //nolint:forbidigo // Compared with the times of files, and noted.
	if x.scan, err = x.tree.Scan(ctx, x.request.Source.Prefix, x.filter); err != nil {
		return err
	}
	if err := x.refuseScan(x.scan); err != nil {
		return err
	}
	if x.tree.IsFile() && (len(x.scan.Entries) == 0 || x.scan.Entries[0].Type != manifest.File) {
		return fault.New(
			wire.PathNotFound,
			"path %s is not selected, or no regular file any more",
			plan.Quote(x.request.Volume.TargetPath),
		)
	}
	x.countAll()
	x.Log(
		"found %d files, %d bytes, in %.1f s",
		x.Tally.AllObjects.Load(),
		x.Tally.AllBytes.Load(),
		time.Since(x.begin).Seconds(),
	)
	return nil
}

// countAll tells how much there is.
func (x *export) countAll() {
	for _, e := range x.scan.Entries {
		if e.Type == manifest.File {
			x.Tally.AllObjects.Add(1)
			x.Tally.AllBytes.Add(e.Size)
		}
	}
}

// skew is how far the clock of the API server may be from the one by which the storage's files are dated.
const skew = time.Minute

// contentTime is when what was scanned stood still: what was changed just before it may have been changed once
// more at the same time, by the clock of its file system.
func (x *export) contentTime() time.Time {
	if at := x.request.Volume.AsOf; !at.IsZero() {
		return at.Add(-skew)
	}
	return x.begin
}

// lasting leaves of an entry what tells the same file in the next run. The time of its last change is more than
// that: a new owner or link changes it, and the kubelet gives all files of a volume their group whenever a pod
// starts. Without it a file on a copy cannot be told from another one whose inode has the same number.
func (x *export) lasting(e *manifest.Entry) {
	if x.request.Volume.Temporary == "" {
		e.ChangeTime = 0
	}
}

// refuseScan applies the policies to what was scanned.
func (x *export) refuseScan(s *Scan) error {
	x.result.Special, x.result.Unsafe = s.Special, 0
	x.result.Kept, x.result.Unsettled = s.Kept, s.Unsettled
	if s.Denied.Count > 0 {
		return denied(s.Denied)
	}
	if n := s.Unsafe.Count; n > 0 && x.options.UnsafePaths != wire.Skip {
		return fault.New(wire.UnsafePath, "%d of the selected paths cannot become keys: %s; rename them, leave them out "+
			"with spec.exclude, or set spec.unsafePaths: Skip", n, strings.Join(s.Unsafe.First, ", "))
	}
	x.result.Unsafe = s.Unsafe.Count
	return nil
}

func denied(paths Examples) error {
	return fault.New(
		wire.PathNotReadable,
		"%d of the selected files and directories may not be read by user %d, as whom the mover runs: %s; "+
			"run it as a user that may, with spec.mover.podSecurityContext, or leave them out with spec.exclude",
		paths.Count,
		os.Geteuid(),
		strings.Join(paths.First, ", "),
	)
}

// key is that of a file's object.
func (x *export) key(e manifest.Entry) string {
	if x.options.Key != "" {
		return x.options.Key
	}
	return x.request.Source.Prefix + e.Path
}

// begunMark is what the first write of a run is.
type begunMark struct {
	Run   string    `json:"run"`
	Begun time.Time `json:"begun"`
	// Copies means that each mover of the run leaves a mark before it has S3 copy anything. One of an earlier version
	// does not, and a run of which everything was removed may have had some.
	Copies bool `json:"copies,omitempty"`
	// Claim is that of the volume; empty as of an earlier version.
	Claim string `json:"claim,omitempty"`
}

// lookForBegun looks for the mark of an attempt before. Movers before this one have ended: that is told at once, so
// that as many attempts as it takes wait for their copies together.
func (x *export) lookForBegun(ctx context.Context) (since time.Time, found bool, err error) {
	var mark begunMark
	since, found, err = x.getJSON(ctx, x.home.begun(x.options.Run), &mark)
	if err != nil || !found {
		return since, false, err
	}
	if err := x.refuseOther(mark.Claim); err != nil {
		return since, false, err
	}
	x.copies.marked = mark.Copies
	return since, true, x.endCopies(ctx, x.home.copies(x.options.Run), x.copiers())
}

// markBegun makes the first write of a run. A file that an attempt after this one finds in S3 may be
// the work of this one.
func (x *export) markBegun(ctx context.Context) error {
	if !x.last.inWay { // Before there is a mark, so that the next attempt takes nothing of another run for its own.
		if err := x.alone(ctx); err != nil {
			return x.refused(err)
		}
	}
	if !x.policy.marked {
		mark := begunMark{
			Run: x.options.Run, Begun: x.begin, Copies: !x.policy.resumed, Claim: x.request.Volume.ClaimUID,
		}
		if err := x.putJSON(ctx, x.home.begun(x.options.Run), mark); err != nil {
			return x.refused(err)
		}
		x.policy.marked = true
	}
	if err := x.stepAside(ctx); err != nil {
		return x.refused(err)
	}
	return x.refused(x.delete(ctx, x.there.blocking))
}

// refuseOther ends a run that has begun with the volume of another claim, as of one of the same name that is gone: what
// was sent then is not told as this one's, nor does a file of it stay among those of this one.
func (x *export) refuseOther(claim string) error {
	if claim == "" || claim == x.request.Volume.ClaimUID {
		return nil
	}
	return fault.New(wire.RequestRejected, "an attempt before has exported the claim with the UID %s, and this one is to "+
		"export that with the UID %s: the claim was made anew meanwhile; make a new S3Export",
		plan.Quote(claim), plan.Quote(x.request.Volume.ClaimUID))
}

// completedBefore is for a run whose report was lost.
func (x *export) completedBefore(ctx context.Context) {
	x.result.Whole = true
	x.result.Digest = x.last.here.Digest
	x.result.doesLack(x.last.here.Lacks)
	x.result.has(x.last.here.Entries)
	x.Log("the export is complete: an earlier mover of this run has made it")
	if x.options.Step != wire.StepShard { // Who completes the run wants the marks of copies of the other shards.
		x.tidy(ctx)
	}
}
