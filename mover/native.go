// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// explainNative makes failures of the engine's own errors.
func (l *listing) explainNative(i int, err error) error {
	key := l.plan.Entries.At(i).Key
	switch {
	case errors.Is(err, engine.ErrOtherTag):
		return fault.New(
			wire.SourceChanged,
			"object %s comes with another entity tag than it was listed with: it was overwritten while the volume was "+
				"loaded; if nobody writes to it, S3 contradicts itself: set spec.transfer.engine: MC, which compares contents",
			plan.Quote(key),
		).Because(err)
	case errors.Is(err, engine.ErrChanged):
		return fault.New(
			wire.SourceChanged,
			"object %s was overwritten or deleted while the volume was loaded",
			plan.Quote(key),
		).Because(err)
	case errors.Is(err, engine.ErrOtherVersion):
		return l.source.OtherVersion(key, l.source.Version(key))
	}
	return err
}

// fetchNative is fetch with the engine of our own.
func (t *transfer) fetchNative(ctx context.Context, todo []int) error {
	e, err := t.fetcher.native(ctx)
	if err != nil {
		return err
	}
	t.forgetWhatNobodyVouchesFor(ctx, todo)
	tasks := func(yield func(engine.Task) bool) {
		for _, i := range todo {
			task := t.listing.task(i)
			task.Present = t.ledger.Partial.Ranges(i)
			if !yield(task) {
				return
			}
		}
	}
	sink := &nativeSink{transfer: t, ctx: ctx}
	return e.Fetch(ctx, tasks, &nativeTarget{volume: t.volume, journal: t.journal}, sink)
}

// forgetWhatNobodyVouchesFor drops what has arrived of large objects whose bytes cannot be compared in
// the end: all of them have to come in one go.
func (t *transfer) forgetWhatNobodyVouchesFor(ctx context.Context, todo []int) {
	var begun []int
	for _, i := range todo {
		if t.ledger.Partial.Bytes(i) > 0 {
			begun = append(begun, i)
		}
	}
	source.Parallel(source.StatWorkers, len(begun), func(n int) {
		want, err := t.prover.Expect(ctx, t.plan.Entries.At(begun[n]))
		if err == nil && want.Method == proof.BySize {
			t.ledger.Partial.Drop(begun[n])
		}
	})
}
