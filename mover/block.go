// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// device is a Block volume. It takes one object, from its first byte on; what
// lies behind the object is left as it is.
type device struct {
	*mover

	file *os.File
	size int64
}

func (m *mover) openDevice() (*device, error) {
	f, err := os.OpenFile(m.options.Paths.Device, os.O_RDWR, 0) // #nosec G304 -- the volume.
	if err != nil {
		return nil, notWritable(err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("ask the device for its size: %w", err)
	}
	return &device{mover: m, file: f, size: size}, nil
}

// fillDevice writes the one object of the plan and proves it by reading it back.
func (m *mover) fillDevice(ctx context.Context) (*ledger, error) {
	e, err := m.onlyObject()
	if err != nil {
		return nil, err
	}
	d, err := m.openDevice()
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.file.Close() }()
	if e.size > d.size {
		return nil, fail(wire.VolumeTooSmall, "object %s has %s and the volume %s; raise spec.resources.requests.storage of the claim to at least %s",
			quoteKey(e.key), inUnits(e.size), inUnits(d.size), inUnits(roundUp(e.size))).requiring(roundUp(e.size))
	}
	l := newLedger(m.plan)
	m.progress.ledger.Store(l)
	want, err := m.expect(ctx, e)
	if err != nil {
		return nil, err
	}
	by, err := d.fill(ctx, e, want)
	if err != nil {
		return nil, err
	}
	l.verified(0, by, true)
	return l, nil
}

func (m *mover) onlyObject() (entry, error) {
	if n := len(m.plan.entries); n != 1 || m.plan.entries[0].isDir() {
		return entry{}, fail(wire.NotOneObject, "a volume with volumeMode Block takes exactly one object and the source has %d; "+
			"name it in spec.objects", n)
	}
	return m.plan.entries[0], nil
}

// fill makes up to maxRounds tries. A mover that was interrupted may have been
// done already, so a later attempt looks before it writes.
func (d *device) fill(ctx context.Context, e entry, want expectation) (method, error) {
	if d.request.Attempt > 1 && want.method != bySize {
		if by, err := d.readBack(ctx, e, want); err == nil {
			return by, nil
		}
	}
	for round := 1; ; round++ {
		d.progress.enter(wire.Transferring)
		by, err := d.write(ctx, e, want)
		if err == nil {
			return by, nil
		}
		f := d.classify(err)
		if errors.Is(err, errDiffers) {
			f = fail(wire.VerificationFailed, "the device differs from object %s", quoteKey(e.key)).because(err)
		}
		if round >= maxRounds || !retryable(f) || ctx.Err() != nil {
			return unverified, f
		}
		d.logf("round %d: %s", round, f.message)
	}
}

func (d *device) write(ctx context.Context, e entry, want expectation) (method, error) {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return unverified, fmt.Errorf("write to the device: %w", err)
	}
	sent := newDigester(want)
	err := d.runMC(ctx, append(append([]string{"cat"}, d.limit(1)...), d.objectURL(e.key)), func(r io.Reader) error {
		if err := d.pump(d.file, sent, io.LimitReader(r, e.size)); err != nil {
			return err
		}
		if sent.size < e.size {
			return errShort
		}
		if n, _ := io.CopyN(io.Discard, r, 1); n > 0 {
			return fmt.Errorf("%w: S3 sent more than was listed", errDiffers)
		}
		return nil
	})
	if err != nil {
		if _, changed := d.unchanged(ctx, e); reasonOf(changed) == wire.SourceChanged {
			return unverified, changed
		}
		return unverified, err
	}
	d.progress.enter(wire.Syncing)
	if err := d.file.Sync(); err != nil {
		return unverified, fmt.Errorf("write the device: %w", err)
	}
	d.progress.enter(wire.Verifying)
	if want.method == bySize {
		_, err := d.unchanged(ctx, e)
		return bySize, err
	}
	return d.readBack(ctx, e, want)
}

// readBack compares the device itself, not what was sent to it: cached pages
// are dropped first.
func (d *device) readBack(ctx context.Context, e entry, want expectation) (method, error) {
	_ = unix.Fadvise(int(d.file.Fd()), 0, e.size, unix.FADV_DONTNEED)
	section := io.NewSectionReader(d.file, 0, e.size)
	same, err := digestFile(section, want)
	if err != nil {
		return unverified, fmt.Errorf("read the device: %w", err)
	}
	if same {
		return want.method, nil
	}
	return d.settle(ctx, e, section, want)
}
