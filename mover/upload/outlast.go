// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"time"
)

// copiesLast is how long a copy that a mover before was ended over may still be made, in pauses: an answer is waited
// for no longer.
const copiesLast = 60

// outlastCopies waits for copies that movers before may have asked for when they were ended: one that is made after the
// proof would take the place of what was sent meanwhile, and nobody would notice. Who has sent nothing waits as well:
// what is there may be of one that was ended as it waited. Movers of a run that was given up below the same prefix, as
// by who has deleted it, may have asked for some as well.
func (x *export) outlastCopies(ctx context.Context) error {
	if x.options.Key != "" {
		return nil
	}
	return x.waitForCopies(ctx, x.home.runs())
}

// waitForCopies waits for those whose marks are below a prefix.
func (x *export) waitForCopies(ctx context.Context, at string) error {
	for {
		if err := x.endCopies(ctx, at, ""); err != nil {
			return err
		}
		left, err := x.copiesLeft(ctx)
		if err != nil || left <= 0 {
			return err
		}
		x.Log("copies that a mover before has asked for are waited for, for %s", left.Round(time.Second))
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return context.Cause(ctx) //nolint:wrapcheck // Why the mover is to end.
		}
	}
}

// copiesLeft is how long copies of movers before may still be made.
func (x *export) copiesLeft(ctx context.Context) (left time.Duration, err error) {
	if x.policy.resumed && !x.copies.marked && x.options.CopyFrom != "" { // There may have been some without a mark.
		left = copiesLast*x.Pause - time.Since(x.started)
	}
	for c, since := range x.copies.ended {
		l, err := x.leftOf(ctx, c, since)
		if err != nil {
			return 0, err
		}
		left = max(left, l)
	}
	return left, nil
}

// leftOf is copiesLeft of one mover.
func (x *export) leftOf(ctx context.Context, c copier, since time.Time) (time.Duration, error) {
	known := time.Since(since)
	if known >= copiesLast*x.Pause {
		return 0, nil
	}
	var mark copyMark
	stored, now, found, err := x.getDated(ctx, x.home.copyMark(c, copyEnded), &mark)
	if err != nil {
		return 0, err
	}
	if !found || mark.Run != c.run { // Nobody has told, or somebody has removed or replaced it since.
		return copiesLast*x.Pause - known, nil
	}
	return leftOfCopies(copiesLast*x.Pause, known, now.Sub(stored), time.Since(mark.At)), nil
}

// leftOfCopies is how long copies may still be made that last so long at most, of a mover that is known to have ended
// for some time, and is marked as ended. Of the mark, both the clock of S3 and those of the movers have to say that it
// is old enough, and twice so: servers have several clocks, and tell seconds. What they say otherwise, as where one is
// wrong, counts for nothing.
func leftOfCopies(last, known, byS3, byMovers time.Duration) time.Duration {
	age := max(0, min(byS3, byMovers))
	return max(0, min(last-known, 2*last-age))
}
