// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// earlyFrom is how many objects have to be listed before one is fetched: with fewer, the listing is at
// its end.
var earlyFrom = 1000 // A variable for tests alone.

// earlyGrace is how long what is on its way may take once the listing is at its end.
var earlyGrace = 2 * time.Second // A variable for tests alone.

// early fetches small objects while the source is still listed, because a listing leaves a processor and
// the network idle. It only ever saves work: a file that is not proven by what S3 said with its bytes is
// nothing, and whatever goes wrong is left to the transfer that follows, which knows the whole plan.
type early struct {
	volume   *volume.Volume
	journal  *ledger.Journal
	source   *source.Client
	fetcher  *fetcher
	progress *progress
	log      *logger
	feed     *feed

	begun bool
	fail  error // Why it could not begin.
	ended chan struct{}
	stop  context.CancelCauseFunc
	cause func() error

	mu     sync.Mutex
	proven map[int]provenFile // By the index of the task.
}

// errEarlyOver ends what is still on its way.
var errEarlyOver = errors.New("the source is listed")

// listEarly is list, and fetches meanwhile where that is worth it and cannot do harm: the volume was
// found empty, and all that the listing names is to become a file.
func (t *transfer) listEarly(ctx context.Context) error {
	r := t.request
	if !t.empty || !t.fetcher.isNative() || len(r.Source.Objects) > 0 || r.Policy.RestoreAttributes ||
		sizeOnly(r) {
		return t.list(ctx, nil)
	}
	room, err := volume.ReadRoom(t.volume, &plan.Plan{}, 0, nil)
	if err != nil {
		return err
	}
	e := &early{
		volume:   t.volume,
		journal:  t.journal,
		source:   t.source,
		fetcher:  t.fetcher,
		progress: t.progress,
		log:      t.log,
		proven:   make(map[int]provenFile),
	}
	bytes, inodes, block := room.Free()
	e.feed = newFeed(feedRoom{freeBytes: bytes, freeInodes: inodes, block: block})
	err = t.list(ctx, func(entry plan.Entry) { e.listed(ctx, entry) })
	t.cameEarly = e.ended != nil
	if lost := e.end(); lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	t.proven = e.found(t.plan)
	return nil
}

// list notes the plan.
func (t *transfer) list(ctx context.Context, planned func(plan.Entry)) error {
	err := t.listing.list(ctx, planned)
	t.plan, t.prover = t.listing.plan, t.listing.prover
	return err
}

// listed takes the next entry of the plan, and begins once there are enough of them.
func (e *early) listed(ctx context.Context, entry plan.Entry) {
	if e.feed.add(entry) < earlyFrom || e.begun {
		return
	}
	e.begun = true
	if e.fail = e.begin(ctx); e.fail != nil {
		e.feed.close()
	}
}

// begin looks at the journal first: while the listing took its time, another mover may have completed the
// volume, and what guards a transfer looks for the first time some seconds after it began.
func (e *early) begin(ctx context.Context) error {
	if err := e.journal.Owned(); err != nil {
		return err
	}
	if err := e.source.LookUpRegion(ctx); err != nil {
		return err
	}
	own, err := e.fetcher.native(ctx)
	if err != nil {
		return err
	}
	ctx, e.stop = context.WithCancelCause(ctx)
	e.cause = func() error { return context.Cause(ctx) }
	e.ended = make(chan struct{})
	go e.run(ctx, own)
	return nil
}

// run fetches until the feed ends, or what guards the volume of the whole attempt ends it.
func (e *early) run(ctx context.Context, own *native.Engine) {
	defer close(e.ended)
	defer context.AfterFunc(ctx, e.feed.close)()
	// Of what did not come, the transfer that follows says why.
	_ = own.FetchSmall(ctx, e.feed.tasks, newEarlyTarget(e.volume, e.journal), e)
}

// end waits until nothing writes any more. Its error is that the volume is another mover's.
func (e *early) end() error {
	e.feed.close()
	err := e.fail
	if e.ended != nil {
		grace := time.AfterFunc(earlyGrace, func() { e.stop(errEarlyOver) })
		defer grace.Stop()
		<-e.ended
		err = e.cause()
		e.stop(errEarlyOver)
	}
	if fault.ReasonOf(err) == wire.Fenced {
		return err
	}
	return nil
}

// found are the files of a plan that are there and proven, by their index in it.
func (e *early) found(p *plan.Plan) map[int]provenFile {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.proven) == 0 {
		return nil
	}
	files := make(map[int]provenFile, len(e.proven))
	for n, file := range e.proven {
		entry := e.feed.entry(n)
		if i, ok := p.Find(entry.Path); ok && p.Entries.At(i) == entry {
			files[i] = file
		}
	}
	e.log.printf("%d files came while the source was listed", len(files))
	return files
}

// Arrived implements engine.Sink.
func (e *early) Arrived(got engine.Evidence) {
	defer e.progress.inFlight.Add(-got.Fetched)
	by, err := engine.Judge(e.feed.entry(got.Index), got, false)
	if err != nil || by == proof.Unverified || by == proof.ByChecksum && !got.Pinned { // It may be of another object.
		e.feed.close()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proven[got.Index] = provenFile{by: by, file: got.File}
}

// Failed implements engine.Sink.
func (e *early) Failed(int, error) error {
	e.feed.close()
	return nil
}

// Wrote implements engine.Sink.
func (e *early) Wrote(_ int, n int64) { e.fetcher.wrote(n) }

// Grew implements engine.Sink. No object here comes in ranges.
func (*early) Grew(int, engine.Range, uint64) {}

// takeBack removes what came early of a source that is refused: nobody asks for it again, and the volume
// is as empty as it was.
func (t *transfer) takeBack(ctx context.Context, refused error) error {
	reason := fault.ReasonOf(t.faults.Classify(refused))
	if !t.cameEarly || reason == wire.Fenced || fault.ClassOf(reason).Again() || ctx.Err() != nil {
		return refused
	}
	none := func(int, *unix.Stat_t) bool { return false }
	s := volume.Sweep{Volume: t.volume, Owned: t.journal.Owned, Plan: &plan.Plan{}, Keep: none}
	if err := s.Run(ctx); err != nil {
		t.log.printf("remove what came while the source was listed: %v", err)
	}
	return refused
}
