// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/restore"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// transfer brings a file system volume in line with a plan.
type transfer struct {
	request         wire.Request
	header          plan.Header // Of the journal.
	checkpointEvery time.Duration
	faults          fault.Classifier
	source          *source.Client
	uploads         upload.Setup // To read the manifest of an export.
	log             *logger
	progress        *progress
	status          *status
	listing         *listing
	fetcher         *fetcher
	rounds          *rounds

	plan    *plan.Plan    // Once the source is listed.
	prover  *proof.Prover // Likewise.
	volume  *volume.Volume
	journal *ledger.Journal
	ledger  *ledger.Ledger
	// proven are files of a volume without a journal that were compared before it was taken.
	proven map[int]provenFile
	// dirs is how many planned directories an earlier attempt has made.
	dirs int64
	// whole means that the volume was found complete: nothing is written to it.
	whole bool
	// empty means that nothing was found on the volume, not even a journal of ours.
	empty bool
	// cameEarly means that files were fetched while the source was listed.
	cameEarly bool
	// attributes are those to restore; nil for none.
	attributes *restore.Restore
	// streaming marks the entries that mc cat writes while mc mirror runs.
	streaming map[int]bool
}

// run fetches what is not verified until nothing is left.
func (t *transfer) run(ctx context.Context) error {
	return t.rounds.run(ctx, t.ledger, t.prepareRound, t.fetch)
}

// prepareRound clears away what a failed round left, because mc takes a file of
// the right size for a right file.
func (t *transfer) prepareRound(ctx context.Context, round int) error {
	if err := t.rounds.begin(ctx, round); err != nil || round == 1 {
		return err
	}
	s := volume.Sweep{
		Volume: t.volume,
		Owned:  t.journal.Owned,
		Plan:   t.plan,
		Keep:   func(i int, _ *unix.Stat_t) bool { return t.ledger.IsVerified(i) || t.ledger.Partial.Bytes(i) > 0 },
	}
	return s.Run(ctx)
}

// fewFiles is up to how many files asking for each by name beats a listing of
// mc's own: two requests each against one per thousand objects of the source.
var fewFiles = 64 // A variable for tests alone.

// fetch brings files by the fastest way: large ones as streams, because they
// are then digested on their way; the others by mirror when the plan is the
// whole prefix. They are streams too when it is not, when they are few, and
// when the user has said how many at a time: mirror cannot be told.
func (t *transfer) fetch(ctx context.Context, todo []int) error {
	if t.fetcher.isNative() {
		return t.fetchNative(ctx, todo)
	}
	var large, small []int
	for _, i := range todo {
		if t.plan.Entries.Size(i) >= plan.LargeSize {
			large = append(large, i)
		} else {
			small = append(small, i)
		}
	}
	few := len(small) <= max(fewFiles, t.plan.Entries.Len()/2000)
	if !t.plan.Mirrorable || few || t.request.Transfer.Parallelism > 0 {
		t.streaming = nil
		return t.stream(ctx, todo)
	}
	if err := t.reserve(large); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var streamErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		if streamErr = t.stream(ctx, large); streamErr != nil {
			stop(streamErr)
		}
	})
	err := t.mirror(ctx)
	if err != nil && !retryable(t.faults.Classify(err)) {
		stop(err) // Otherwise large objects need not begin anew because of a small one.
	}
	wg.Wait()
	t.checkContested(ctx)
	if errors.Is(err, streamErr) {
		return err
	}
	return errors.Join(streamErr, err)
}

// checkContested verifies what mirror has replaced while the streams were running. When the
// round has failed, the next one does. A large file that a stream had begun has the right size
// from the start: where nothing but that is known, nobody can tell whether mc has replaced it,
// and it comes again.
func (t *transfer) checkContested(ctx context.Context) {
	list := t.ledger.Uncontested()
	source.Parallel(runtime.GOMAXPROCS(0), len(list), func(n int) {
		if ctx.Err() != nil {
			return
		}
		i := list[n]
		t.fetcher.fetched.Add(t.plan.Entries.Size(i))
		by, file, err := t.compare(ctx, i)
		switch {
		case err == nil && by == proof.BySize && t.streaming[i]:
			t.ledger.Fail(i, errNotThere)
		case err != nil:
			t.ledger.Fail(i, err)
		default:
			t.ledger.Verified(i, by, file, false)
		}
	})
}

// reserve gives large files their name and size before mc looks at the volume.
func (t *transfer) reserve(large []int) error {
	t.streaming = make(map[int]bool, len(large))
	for _, i := range large {
		t.streaming[i] = true
		e := t.plan.Entries.At(i)
		if err := t.journal.Owned(); err != nil {
			return err
		}
		f, err := t.volume.Create(e.Path, e.Size, true)
		if err != nil {
			return fault.NotWritable(err)
		}
		if err := f.Close(); err != nil {
			return fault.NotWritable(err)
		}
	}
	return nil
}
