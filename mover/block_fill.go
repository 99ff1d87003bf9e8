// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// fill makes up to maxRounds tries.
func (d *deviceLoad) fill(ctx context.Context, e plan.Entry) (proof.Method, error) {
	want, err := d.prover.Expect(ctx, e)
	if err != nil {
		return proof.Unverified, err
	}
	if err := d.begin(ctx, e, want); err != nil {
		return proof.Unverified, err
	}
	for round := 1; ; round++ {
		by, err := d.write(ctx, e, want)
		if err == nil {
			return by, nil
		}
		if errors.Is(err, errNotAtOnce) { // Once for each round that failed, as nothing is there after it.
			d.log.printf("%v", err)
			d.atOnce.Store(true)
			d.forget()
			round--
			continue
		}
		if errors.Is(err, fault.ErrDiffers) {
			d.forget()
		}
		f := d.faults.Classify(err)
		if errors.Is(err, fault.ErrDiffers) {
			f = fault.New(wire.VerificationFailed, "the device differs from object %s", plan.Quote(e.Key)).Because(err)
		}
		if round >= maxRounds || !retryable(f) || ctx.Err() != nil {
			return proof.Unverified, f
		}
		d.log.printf("round %d: %s", round, f.Message)
	}
}

// write fetches the object, proves what is on the device behind the first sector together
// with the bytes of that sector, and only then writes it.
func (d *deviceLoad) write(ctx context.Context, e plan.Entry, want proof.Expectation) (proof.Method, error) {
	d.progress.enter(wire.Transferring)
	d.fetcher.effort.begin()
	to, atOnce := d.writer()
	if err := d.fetch(ctx, e, to); err != nil {
		if _, changed := d.source.Unchanged(ctx, d.plan, e); fault.ReasonOf(changed) == wire.SourceChanged {
			return proof.Unverified, changed
		}
		return proof.Unverified, err
	}
	d.fetcher.effort.transferred()
	d.progress.enter(wire.Syncing)
	start := time.Now() //nolint:forbidigo // Only ever subtracted from.
	found, err := d.device.Content(e.Size, to.Held)
	if err != nil {
		d.forget()
		return proof.Unverified, err
	}
	d.fetcher.effort.synced = time.Since(start)
	d.progress.enter(wire.Verifying)
	by, err := d.readBack(ctx, e, want, found)
	if err == nil && by == proof.BySize && !atOnce {
		err = errNotAtOnce
	}
	if err != nil {
		return proof.Unverified, err
	}
	if by == proof.BySize {
		if err := d.holdsWhatArrived(ctx, e, to.Held); err != nil {
			return proof.Unverified, err
		}
		if _, err := d.source.Unchanged(ctx, d.plan, e); err != nil {
			return proof.Unverified, err
		}
	}
	d.progress.enter(wire.Syncing)
	return by, d.device.Reveal(to.Held)
}

// writer begins at the first byte, but for what is on the device already. All comes at once where nothing is.
func (d *deviceLoad) writer() (to *volume.DeviceWriter, atOnce bool) {
	if d.target == nil {
		return d.device.Writer(), true
	}
	if d.manifest == "" {
		d.forget()
	}
	d.target.DeviceWriter = d.device.Writer() // A new one looks whose the device is before it writes.
	_, bytes := d.target.sum.tell()
	d.progress.inFlight.Store(bytes)
	return d.target.DeviceWriter, bytes == 0
}

func (d *deviceLoad) fetch(ctx context.Context, e plan.Entry, to *volume.DeviceWriter) error {
	if d.fetcher.isNative() {
		return d.fetchNative(ctx, e)
	}
	sent := proof.NewDigester(proof.Expectation{Method: proof.BySize}) // It only counts: the device is read back.
	sum := crc64nvme.New()
	defer func() { d.arrived = sum.Sum64() }()
	both := io.MultiWriter(to, sum)
	return d.fetcher.objects(ctx, []plan.Entry{e}, 0, 1, func(r io.Reader) error {
		if err := d.fetcher.pump(both, sent, io.LimitReader(r, e.Size)); err != nil {
			return err
		}
		if sent.Size < e.Size {
			return errShort
		}
		if n, _ := io.CopyN(io.Discard, r, 1); n > 0 {
			return fmt.Errorf("%w: S3 sent more than was listed", fault.ErrDiffers)
		}
		return nil
	})
}

// holdsWhatArrived compares the device with the bytes that came, where S3 tells nothing that the
// device could be compared with: what a device loses is noticed all the same.
func (d *deviceLoad) holdsWhatArrived(ctx context.Context, e plan.Entry, held []byte) error {
	found, err := d.device.Content(e.Size, held)
	if err != nil {
		return err
	}
	sum := crc64nvme.New()
	if _, err := copyAll(ctx, sum, found); err != nil {
		return fmt.Errorf("read the device: %w", err)
	}
	if sum.Sum64() != d.arrived {
		return fault.ErrDiffers
	}
	return nil
}

// copyAll copies until the context ends, and says how much that was.
func copyAll(ctx context.Context, to io.Writer, from io.Reader) (int64, error) {
	copied := int64(0)
	buffer, _ := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	for {
		n, err := from.Read(*buffer)
		if _, err := to.Write((*buffer)[:n]); err != nil {
			return copied, err //nolint:wrapcheck // The caller says what it copies.
		}
		copied += int64(n)
		if errors.Is(err, io.EOF) {
			return copied, nil
		}
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return copied, err
		}
	}
}

// readBack compares what the device itself holds, not what was sent to it.
func (d *deviceLoad) readBack(
	ctx context.Context,
	e plan.Entry,
	want proof.Expectation,
	found *io.SectionReader,
) (proof.Method, error) {
	same, err := proof.DigestFile(ctx, found, want)
	if err != nil {
		return proof.Unverified, fmt.Errorf("read the device: %w", err)
	}
	if same {
		return want.Method, nil
	}
	return d.prover.Settle(ctx, e, found, want)
}
