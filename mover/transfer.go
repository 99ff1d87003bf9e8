// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// maxRounds is how often files that are missing or differ are fetched before
// an attempt gives up. The manager makes more attempts, with back-off.
const maxRounds = 3

// transfer brings a file system volume in line with a plan.
type transfer struct {
	*mover

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

	mu       sync.Mutex
	troubles int   // Errors of single objects that mc reported in this round.
	last     error // One of them, for when nothing better explains a failure.
}

// run fetches what is not verified until nothing is left.
func (t *transfer) run(ctx context.Context) error { return t.rounds(ctx, t.prepareRound, t.fetch) }

// rounds calls fetch for what is not verified until nothing is left, or another time would not help.
func (t *transfer) rounds(
	ctx context.Context,
	prepare func(ctx context.Context, round int) error,
	fetch func(ctx context.Context, todo []int) error,
) error {
	for round := 1; ; round++ {
		todo := t.ledger.StartRound()
		if len(todo) == 0 {
			return nil
		}
		if err := prepare(ctx, round); err != nil {
			return err
		}
		t.source.StartRound()
		err := fetch(ctx, todo)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		left := t.ledger.Todo()
		if err := t.verdict(ctx, err, left); err != nil && (round >= maxRounds || !retryable(err)) {
			return err
		}
		if errors.Is(err, fault.ErrExpired) && len(left) < len(todo) {
			round-- // A session that ended is no failure while it moves things.
		}
	}
}

// beginRound waits a little for a server in trouble.
func (t *transfer) beginRound(ctx context.Context, round int) error {
	t.mu.Lock()
	t.troubles, t.last = 0, nil
	t.mu.Unlock()
	if round == 1 {
		return nil
	}
	t.logf("round %d: fetching again what is missing or differs", round)
	select {
	case <-time.After(time.Duration(round-1) * t.options.RoundPause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepareRound clears away what a failed round left, because mc takes a file of
// the right size for a right file.
func (t *transfer) prepareRound(ctx context.Context, round int) error {
	if err := t.beginRound(ctx, round); err != nil || round == 1 {
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
	if t.isNative() {
		return t.fetchNative(ctx, todo)
	}
	var large, small []int
	for _, i := range todo {
		if t.plan.Entries[i].Size >= plan.LargeSize {
			large = append(large, i)
		} else {
			small = append(small, i)
		}
	}
	few := len(small) <= max(fewFiles, len(t.plan.Entries)/2000)
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
		t.fetched.Add(t.plan.Entries[i].Size)
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
		e := t.plan.Entries[i]
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

// trouble notes an error that mc reported. It returns the error when going on
// makes no sense: the user must act, or the session has expired, or everything
// fails.
func (t *transfer) trouble(err error) error {
	const tooMany = 1000
	f := t.faults.Classify(err)
	if errors.Is(f, fault.ErrExpired) && !t.isNative() { // Which knows what it has signed with.
		t.mc.Expire()
	}
	if errors.Is(f, fault.ErrExpired) || fault.ClassOf(f.Reason) == wire.User || ofAll(f.Reason) {
		return f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = f
	t.troubles++
	if t.troubles > tooMany {
		return f
	}
	return nil
}

// ofAll reports whether what failed for one object fails for all of them.
func ofAll(reason wire.Reason) bool {
	return reason == wire.ClockSkewed || reason == wire.VolumeReadOnly || reason == wire.Fenced
}

// verdict says what a round came to: nil when everything is there.
func (t *transfer) verdict(ctx context.Context, err error, left []int) error {
	if len(left) == 0 {
		return nil
	}
	i, why := t.ledger.FirstFailure()
	if why == nil {
		i = left[0]
	}
	if err != nil {
		return t.explained(ctx, t.faults.Classify(err), t.plan.Entries[i])
	}
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	switch {
	case errors.Is(why, fault.ErrDiffers):
		return fault.New(wire.VerificationFailed,
			"%d of %d files differ from their objects after %d rounds, the first is %s; if the entity tags of this "+
				"S3 server are not MD5 sums, set spec.transfer.verify: Size",
			len(left), len(t.plan.Entries), maxRounds, plan.Quote(t.plan.Entries[i].Path)).Because(why)
	case (why == nil || errors.Is(why, errNotThere)) && last != nil:
		return t.explained(ctx, t.faults.Classify(last), t.plan.Entries[i])
	case why == nil || errors.Is(why, errNotThere):
		missing := fault.New(
			wire.TransferFailed,
			"%d files did not arrive, the first is %s",
			len(left),
			plan.Quote(t.plan.Entries[i].Path),
		)
		return t.explained(ctx, missing, t.plan.Entries[i])
	}
	return t.explained(
		ctx,
		t.faults.Classify(fmt.Errorf("transfer %s: %w", plan.Quote(t.plan.Entries[i].Key), why)),
		t.plan.Entries[i],
	)
}

// retryable reports whether another round of this attempt may help. A changed
// source needs a new listing, and so a new attempt.
func retryable(err error) bool {
	reason := fault.ReasonOf(err)
	return fault.ClassOf(reason).Again() && reason != wire.SourceChanged && reason != wire.Fenced
}
