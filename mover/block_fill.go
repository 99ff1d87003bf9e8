// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// fill makes up to maxRounds tries.
func (d *device) fill(ctx context.Context, e plan.Entry) (method, error) {
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
func (d *device) write(ctx context.Context, e plan.Entry, want expectation) (method, error) {
	d.progress.enter(wire.Transferring)
	to := &behindHeader{device: d, entry: e, next: ownedEvery}
	if err := d.fetch(ctx, e, to); err != nil {
		if _, changed := d.source.Unchanged(ctx, d.plan, e); fault.ReasonOf(changed) == wire.SourceChanged {
			return unverified, changed
		}
		return unverified, err
	}
	d.progress.enter(wire.Syncing)
	if err := d.file.Sync(); err != nil {
		return unverified, fmt.Errorf("write the device: %w", err)
	}
	d.progress.enter(wire.Verifying)
	by, err := d.readBack(ctx, e, want, to.held)
	if err != nil {
		return unverified, err
	}
	if by == bySize {
		if _, err := d.source.Unchanged(ctx, d.plan, e); err != nil {
			return unverified, err
		}
	}
	return by, d.reveal(e, to.held)
}

// reveal replaces the header by the first bytes of the object, and reads them back.
func (d *device) reveal(e plan.Entry, first []byte) error {
	if err := d.owned(e); err != nil {
		return err
	}
	d.progress.enter(wire.Syncing)
	if err := d.writeSector(first); err != nil {
		return err
	}
	d.forget(int64(len(first)))
	got := make([]byte, len(first))
	if err := readAt(d.file, got, 0); err != nil {
		return err
	}
	if !bytes.Equal(got, first) {
		return errors.Join(fault.ErrDiffers, d.writeSector(d.own.Sector()[:min(e.Size, plan.HeaderSize)]))
	}
	return nil
}

func (d *device) fetch(ctx context.Context, e plan.Entry, to io.Writer) error {
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

// ownedEvery is after how many bytes a mover looks whether the device is still its own.
const ownedEvery = 64 << 20

// behindHeader writes an object to a device but for its first sector, which it holds back.
type behindHeader struct {
	*device

	entry    plan.Entry
	held     []byte
	at, next int64
}

func (w *behindHeader) Write(b []byte) (int, error) {
	n := min(len(b), plan.HeaderSize-len(w.held))
	w.held = append(w.held, b[:n]...)
	w.at += int64(n)
	if len(b) == n {
		return n, nil
	}
	if w.at >= w.next {
		if err := w.owned(w.entry); err != nil {
			return n, err
		}
		w.next = w.at + ownedEvery
	}
	written, err := w.file.WriteAt(b[n:], w.at)
	w.at += int64(written)
	return n + written, err //nolint:wrapcheck // The caller names the volume.
}

// readBack compares the device itself, not what was sent to it: cached pages are dropped
// first. Held are the first bytes of the object where they are not on the device yet.
func (d *device) readBack(ctx context.Context, e plan.Entry, want expectation, held []byte) (method, error) {
	d.forget(e.Size)
	section := io.NewSectionReader(&overlaid{under: d.file, held: held}, 0, e.Size)
	same, err := digestFile(section, want)
	if err != nil {
		return unverified, fmt.Errorf("read the device: %w", err)
	}
	if same {
		return want.method, nil
	}
	return d.settle(ctx, e, section, want)
}

// overlaid reads what a device will hold once the bytes held back are written.
type overlaid struct {
	under io.ReaderAt
	held  []byte
}

func (o *overlaid) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(o.held)) {
		n = copy(b, o.held[off:])
	}
	if n == len(b) {
		return n, nil
	}
	more, err := o.under.ReadAt(b[n:], off+int64(n))
	return n + more, err //nolint:wrapcheck // The caller names the device.
}
