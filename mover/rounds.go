// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// maxRounds is how often files that are missing or differ are fetched before
// an attempt gives up. The manager makes more attempts, with back-off.
const maxRounds = 3

// rounds fetch what is missing or differs again, and say in the end why it did not arrive.
type rounds struct {
	faults  fault.Classifier
	source  *source.Client
	listing *listing
	fetcher *fetcher
	log     *logger
	pause   time.Duration // Before the second round; the third waits twice as long.

	mu       sync.Mutex
	troubles int   // Errors of single objects that mc reported in this round.
	last     error // One of them, for when nothing better explains a failure.
}

// run calls fetch for what is not verified until nothing is left, or another time would not help.
func (r *rounds) run(
	ctx context.Context,
	verified *ledger.Ledger,
	prepare func(ctx context.Context, round int) error,
	fetch func(ctx context.Context, todo []int) error,
) error {
	for round := 1; ; round++ {
		todo := verified.StartRound()
		if len(todo) == 0 {
			return nil
		}
		if err := prepare(ctx, round); err != nil {
			return err
		}
		r.source.StartRound()
		err := fetch(ctx, todo)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		left := verified.Todo()
		if err := r.verdict(ctx, verified, err, left); err != nil && (round >= maxRounds || !retryable(err)) {
			return err
		}
		if errors.Is(err, fault.ErrExpired) && len(left) < len(todo) {
			round-- // A session that ended is no failure while it moves things.
		}
	}
}

// begin waits a little for a server in trouble.
func (r *rounds) begin(ctx context.Context, round int) error {
	r.mu.Lock()
	r.troubles, r.last = 0, nil
	r.mu.Unlock()
	if round == 1 {
		return nil
	}
	r.log.printf("round %d: fetching again what is missing or differs", round)
	select {
	case <-time.After(time.Duration(round-1) * r.pause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// trouble notes an error that mc reported. It returns the error when going on
// makes no sense: the user must act, or the session has expired, or everything
// fails.
func (r *rounds) trouble(err error) error {
	const tooMany = 1000
	f := r.faults.Classify(err)
	if errors.Is(f, fault.ErrExpired) {
		r.fetcher.expire()
	}
	if errors.Is(f, fault.ErrExpired) || fault.ClassOf(f.Reason) == wire.User || ofAll(f.Reason) {
		return f
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = f
	r.troubles++
	if r.troubles > tooMany {
		return f
	}
	return nil
}

// ofAll reports whether what failed for one object fails for all of them.
func ofAll(reason wire.Reason) bool {
	return reason == wire.ClockSkewed || reason == wire.VolumeReadOnly || reason == wire.Fenced
}

// verdict says what a round came to: nil when everything is there.
func (r *rounds) verdict(ctx context.Context, verified *ledger.Ledger, err error, left []int) error {
	if len(left) == 0 {
		return nil
	}
	entries := &verified.Plan.Entries
	i, why := verified.FirstFailure()
	if why == nil {
		i = left[0]
	}
	if err != nil {
		return r.listing.explained(ctx, r.faults.Classify(err), entries.At(i))
	}
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	switch {
	case errors.Is(why, fault.ErrDiffers):
		return fault.New(wire.VerificationFailed,
			"%d of %d files differ from their objects after %d rounds, the first is %s; if the entity tags of this "+
				"S3 server are not MD5 sums, set spec.transfer.verify: Size",
			len(left), entries.Len(), maxRounds, plan.Quote(entries.At(i).Path)).Because(why)
	case (why == nil || errors.Is(why, errNotThere)) && last != nil:
		return r.listing.explained(ctx, r.faults.Classify(last), entries.At(i))
	case why == nil || errors.Is(why, errNotThere):
		missing := fault.New(
			wire.TransferFailed,
			"%d files did not arrive, the first is %s",
			len(left),
			plan.Quote(entries.At(i).Path),
		)
		return r.listing.explained(ctx, missing, entries.At(i))
	}
	return r.listing.explained(
		ctx,
		r.faults.Classify(fmt.Errorf("transfer %s: %w", plan.Quote(entries.At(i).Key), why)),
		entries.At(i),
	)
}

// retryable reports whether another round of this attempt may help. A changed
// source needs a new listing, and so a new attempt.
func retryable(err error) bool {
	reason := fault.ReasonOf(err)
	return fault.ClassOf(reason).Again() && reason != wire.SourceChanged && reason != wire.Fenced
}
