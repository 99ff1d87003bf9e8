// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// device is a Block volume. It takes one object, from its first byte on; what
// lies behind the object is left as it is.
//
// While it is filled, its first sector carries a header in place of the object's
// first bytes, which come last, in one write of one sector: so a device is either
// untouched, or carries our header, or holds the whole object. An object of less
// than a sector is written at once and needs none.
type device struct {
	*mover

	file *os.File
	size int64
	own  plan.Header
}

func (m *mover) openDevice() (*device, error) {
	f, err := os.OpenFile(m.options.Paths.Device, os.O_RDWR, 0) // #nosec G304 -- the volume.
	if err != nil {
		return nil, fault.NotWritable(err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("ask the device for its size: %w", err)
	}
	return &device{mover: m, file: f, size: size, own: m.header()}, nil
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
	if e.Size > d.size {
		return nil, fault.New(wire.VolumeTooSmall, "object %s has %s and the volume %s; raise spec.resources.requests.storage of the claim to at least %s",
			plan.Quote(e.Key), inUnits(e.Size), inUnits(d.size), inUnits(roundUp(e.Size))).Requiring(roundUp(e.Size))
	}
	l := newLedger(m.plan)
	m.progress.ledger.Store(l)
	by, err := d.enter(ctx, e)
	if err == nil && by == unverified {
		by, err = d.fill(ctx, e)
	}
	if err != nil {
		return nil, err
	}
	l.verified(0, by, true)
	return l, nil
}

func (m *mover) onlyObject() (plan.Entry, error) {
	if n := len(m.plan.Entries); n != 1 || m.plan.Entries[0].IsDir() {
		return plan.Entry{}, fault.New(
			wire.NotOneObject,
			"a volume with volumeMode Block takes exactly one object and the source has %d; "+
				"name it in spec.objects",
			n,
		)
	}
	return m.plan.Entries[0], nil
}

// enter decides whether the device may be written, as transfer.enter does, in the phase Listing. A later attempt
// may find it complete: then it says by which method.
func (d *device) enter(ctx context.Context, e plan.Entry) (method, error) {
	o, err := d.look()
	if err != nil {
		return unverified, err
	}
	first, began := d.request.First(), d.request.Volume.Began
	may := o.admit(first, began)
	d.held.Store(may == refuse || may == prove || may == recognise)
	if may == recognise {
		return d.recogniseOr(ctx, e, o.refusal())
	}
	if o.journal == nobodys && (!first || began) {
		by, err := d.isComplete(ctx, e)
		if err != nil || by != unverified {
			return by, err
		}
	}
	switch may {
	case refuse, prove, recognise: // It was not proven just now.
		return unverified, o.refusal()
	case begin, goOn:
	}
	return unverified, d.takeOver(e)
}

// recogniseOr refuses a device that is not recognised.
func (d *device) recogniseOr(ctx context.Context, e plan.Entry, refusal *fault.Failure) (method, error) {
	by, err := d.recognise(ctx, e)
	switch {
	case ctx.Err() != nil:
		return unverified, context.Cause(ctx)
	case err == nil && by != unverified:
		return by, nil
	}
	return unverified, refusal.Because(err)
}

// look reads what is on the device and changes nothing.
func (d *device) look() (occupancy, error) {
	h, ok, err := d.readHeader()
	switch {
	case err != nil:
		return occupancy{}, err
	case ok && h.Claim == d.own.Claim:
		return occupancy{journal: ours}, nil
	case ok:
		return occupancy{journal: somebody}, nil
	}
	found, err := findSignature(d.file, d.size)
	if err != nil || found == "" {
		return occupancy{}, err
	}
	return occupancy{foreign: []string{found}}, nil
}

// recognise is isComplete for a first attempt, see transfer.recognise: nothing may lie behind the
// object, as far as that can be told without reading all of a large device.
func (d *device) recognise(ctx context.Context, e plan.Entry) (method, error) {
	const blank = 1 << 20
	found, err := findSignature(&zeroed{under: d.file, until: e.Size}, d.size)
	if err != nil || found != "" {
		return unverified, err
	}
	rest := make([]byte, min(blank, d.size-e.Size))
	if err := readAt(d.file, rest, e.Size); err != nil {
		return unverified, err
	}
	if bytes.Count(rest, []byte{0}) < len(rest) {
		return unverified, nil
	}
	return d.isComplete(ctx, e)
}

// zeroed reads a device as if nothing was on its first bytes.
type zeroed struct {
	under io.ReaderAt
	until int64
}

func (z *zeroed) ReadAt(b []byte, off int64) (int, error) {
	n, err := z.under.ReadAt(b, off)
	clear(b[:max(0, min(int64(n), z.until-off))])
	return n, err //nolint:wrapcheck // The caller names the device.
}

// isComplete compares the device with the object by content. What cannot be compared so is
// not complete.
func (d *device) isComplete(ctx context.Context, e plan.Entry) (method, error) {
	want, err := d.expectContent(ctx, e)
	if err != nil || want.method == bySize {
		return unverified, err
	}
	// What an attempt wrote whose sync failed is in memory only: a sync that succeeds, and
	// pages that are dropped after it, make the device itself answer.
	if err := d.file.Sync(); err != nil {
		return unverified, fmt.Errorf("write the device: %w", err)
	}
	by, err := d.readBack(ctx, e, want, nil)
	if errors.Is(err, fault.ErrDiffers) || by == bySize {
		return unverified, nil
	}
	return by, err
}

// takeOver puts this mover's header on the device before anything else is written.
func (d *device) takeOver(e plan.Entry) error {
	d.began.Store(true)
	if e.Size < plan.HeaderSize {
		return nil
	}
	return d.writeSector(d.own.Sector())
}

func (d *device) writeSector(sector []byte) error {
	if _, err := d.file.WriteAt(sector, 0); err != nil {
		return fmt.Errorf("write the device: %w", err)
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("write the device: %w", err)
	}
	return nil
}

// readHeader reads the first sector of the device itself, not of memory.
func (d *device) readHeader() (plan.Header, bool, error) {
	d.forget(plan.HeaderSize)
	sector := make([]byte, plan.HeaderSize)
	if d.size < plan.HeaderSize {
		return plan.Header{}, false, nil
	}
	if err := readAt(d.file, sector, 0); err != nil {
		return plan.Header{}, false, err
	}
	h, ok := plan.ParseHeader(sector)
	return h, ok, nil
}

// owned fails when the header on the device is not this mover's any more.
func (d *device) owned(e plan.Entry) error {
	if e.Size < plan.HeaderSize {
		return nil
	}
	h, ok, err := d.readHeader()
	switch {
	case err != nil:
		return err
	case !ok:
		return fault.Fenced("the header is gone")
	case h != d.own:
		return fault.Fenced("pod " + h.Pod)
	}
	return nil
}

// forget drops the pages of the first n bytes that are in memory and on the device. A page
// that is covered in part stays, so n is rounded up to the largest pages there are.
func (d *device) forget(n int64) {
	const page = 64 << 10
	_ = unix.Fadvise(int(d.file.Fd()), 0, (n+page-1)/page*page, unix.FADV_DONTNEED)
}
