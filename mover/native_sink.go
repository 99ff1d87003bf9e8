// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"slices"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
)

// nativeSink judges what an engine hands back. It takes evidence for a verification only where
// S3 said the sum, or where the entity tag is one; whatever is left is compared as every file
// that this mover did not write: by reading it back.
type nativeSink struct {
	transfer *transfer
	ctx      context.Context //nolint:containedctx // Of the one call of Fetch that this sink is for.
}

// Arrived implements engine.Sink.
func (s *nativeSink) Arrived(e engine.Evidence) {
	t, i := s.transfer, e.Index
	defer t.progress.inFlight.Add(-e.Fetched)
	by, file, err := s.judge(e)
	if err != nil {
		t.ledger.Partial.Drop(i)
		t.ledger.Fail(i, err)
		return
	}
	t.ledger.Verified(i, by, file, false)
}

// judge says by which method a file is its object, and which file that is.
func (s *nativeSink) judge(e engine.Evidence) (proof.Method, plan.Identity, error) {
	file := e.File
	by, err := s.transfer.listing.judge(s.ctx, e, func() (by proof.Method, err error) {
		by, file, err = s.transfer.compare(s.ctx, e.Index)
		return by, err
	})
	return by, file, err
}

// judge says by which method a file is its object. Where evidence proves nothing, compare reads it back. Where S3
// names another sum than that of the bytes, the entity tag may still prove them: some keep a sum that was of a
// part, or of what was sent. Their size alone proves nothing then.
func (l *listing) judge(
	ctx context.Context,
	e engine.Evidence,
	compare func() (proof.Method, error),
) (proof.Method, error) {
	entry := l.plan.Entries.At(e.Index)
	by, err := engine.Judge(entry, e, l.prover.SizeOnly)
	disputed := errors.Is(err, fault.ErrDiffers) && e.File.Size == entry.Size
	if err == nil && by == proof.Unverified || disputed {
		by, err = compare()
	}
	switch {
	case err == nil && by == proof.BySize && (disputed || e.Fetched != entry.Size):
		err = fault.ErrDiffers // Nobody vouches for the beginning, or for any of it: the whole object comes again.
	case err == nil && !e.Pinned && slices.Contains([]proof.Method{proof.BySize, proof.ByChecksum}, by):
		_, err = l.source.Unchanged(ctx, l.plan, entry) // Nothing said that this object was read.
	}
	return by, err
}

// Failed implements engine.Sink. Nothing that was written is believed once the device refused some
// of it.
func (s *nativeSink) Failed(i int, err error) error {
	t := s.transfer
	if lost(err) != nil {
		t.ledger.Partial.Drop(i)
	}
	err = t.listing.explainNative(i, err)
	t.ledger.Fail(i, err)
	return t.rounds.trouble(err)
}

// Wrote implements engine.Sink.
func (s *nativeSink) Wrote(_ int, n int64) { s.transfer.fetcher.wrote(n) }

// Grew implements engine.Sink.
func (s *nativeSink) Grew(i int, r engine.Range, crc uint64) {
	s.transfer.ledger.Grew(s.transfer.journal, i, r, crc)
}
