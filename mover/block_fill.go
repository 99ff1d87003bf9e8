// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// fill makes up to maxRounds tries.
func (d *deviceLoad) fill(ctx context.Context, e plan.Entry) (method, error) {
	want, err := d.expect(ctx, e)
	if err != nil {
		return unverified, err
	}
	for round := 1; ; round++ {
		by, err := d.write(ctx, e, want)
		if err == nil {
			return by, nil
		}
		f := d.faults.Classify(err)
		if errors.Is(err, fault.ErrDiffers) {
			f = fault.New(wire.VerificationFailed, "the device differs from object %s", plan.Quote(e.Key)).Because(err)
		}
		if round >= maxRounds || !retryable(f) || ctx.Err() != nil {
			return unverified, f
		}
		d.logf("round %d: %s", round, f.Message)
	}
}

// write fetches the object, proves what is on the device behind the first sector together
// with the bytes of that sector, and only then writes it.
func (d *deviceLoad) write(ctx context.Context, e plan.Entry, want expectation) (method, error) {
	d.progress.enter(wire.Transferring)
	to := d.device.Writer(e.Size)
	if err := d.fetch(ctx, e, to); err != nil {
		if _, changed := d.source.Unchanged(ctx, d.plan, e); fault.ReasonOf(changed) == wire.SourceChanged {
			return unverified, changed
		}
		return unverified, err
	}
	d.progress.enter(wire.Syncing)
	if err := d.device.Sync(); err != nil {
		return unverified, err
	}
	d.progress.enter(wire.Verifying)
	by, err := d.readBack(ctx, e, want, to.Held)
	if err != nil {
		return unverified, err
	}
	if by == bySize {
		if _, err := d.source.Unchanged(ctx, d.plan, e); err != nil {
			return unverified, err
		}
	}
	d.progress.enter(wire.Syncing)
	return by, d.device.Reveal(e.Size, to.Held)
}

func (d *deviceLoad) fetch(ctx context.Context, e plan.Entry, to io.Writer) error {
	sent := newDigester(expectation{method: bySize}) // It only counts: the device is read back.
	return d.objects(ctx, []plan.Entry{e}, 0, 1, func(r io.Reader) error {
		if err := d.pump(to, sent, io.LimitReader(r, e.Size)); err != nil {
			return err
		}
		if sent.size < e.Size {
			return errShort
		}
		if n, _ := io.CopyN(io.Discard, r, 1); n > 0 {
			return fmt.Errorf("%w: S3 sent more than was listed", fault.ErrDiffers)
		}
		return nil
	})
}

// readBack compares the device itself, not what was sent to it: cached pages are dropped
// first. Held are the first bytes of the object where they are not on the device yet.
func (d *deviceLoad) readBack(ctx context.Context, e plan.Entry, want expectation, held []byte) (method, error) {
	section := d.device.Content(e.Size, held)
	same, err := digestFile(section, want)
	if err != nil {
		return unverified, fmt.Errorf("read the device: %w", err)
	}
	if same {
		return want.method, nil
	}
	return d.settle(ctx, e, section, want)
}
