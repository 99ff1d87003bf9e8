// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// deviceLoad fills one Block volume.
type deviceLoad struct {
	request  wire.Request
	faults   fault.Classifier
	source   *source.Client
	log      *logger
	progress *progress
	status   *status
	listing  *listing
	fetcher  *fetcher

	plan   *plan.Plan
	prover *proof.Prover
	device *volume.Device
	// target is what the engine of our own writes to, from its first round on. The manifest is what tells the next
	// mover that bytes are of this object, where it may go on with them, and most is how many any mover had there.
	target   *nativeDevice
	manifest string
	most     int64
	// atOnce is set once the end has shown that nothing but the size can be compared.
	atOnce atomic.Bool
	// arrived is the CRC64NVME of the bytes that came.
	arrived uint64
}

// fillDevice writes the one object of the plan and proves it by reading it back.
func (m *mover) fillDevice(ctx context.Context) (*ledger.Ledger, error) {
	e, err := onlyObject(m.listing.plan)
	if err != nil {
		return nil, err
	}
	to, err := volume.OpenDevice(m.options.Paths.Device, m.header())
	if err != nil {
		return nil, err
	}
	defer to.Close()
	d := m.deviceLoadTo(to)
	l := ledger.New(d.plan)
	m.progress.ledger.Store(l)
	by, err := d.enter(ctx, e)
	if err == nil && by == proof.Unverified {
		by, err = d.fill(ctx, e)
	}
	if err != nil {
		err = d.ended(err)
		d.leave(ctx, err)
		return nil, err
	}
	l.Verified(0, by, plan.Identity{}, true)
	return l, nil
}

// ended asks whose the device is by now, as that of a transfer does. Of a device that carries no header of another
// claim, what failed says more.
func (d *deviceLoad) ended(err error) error {
	if !d.status.began.Load() {
		return err
	}
	lost := d.device.Owned()
	if f, ok := errors.AsType[*fault.Failure](lost); !ok || !f.Shared {
		return err
	}
	return orLost(err, lost)
}

func (m *mover) deviceLoadTo(to *volume.Device) *deviceLoad {
	return &deviceLoad{
		request:  m.request,
		faults:   m.faults,
		source:   m.source,
		log:      m.log,
		progress: m.progress,
		status:   &m.status,
		listing:  m.listing,
		fetcher:  m.fetcher,
		plan:     m.listing.plan,
		prover:   m.listing.prover,
		device:   to,
	}
}

func onlyObject(p *plan.Plan) (plan.Entry, error) {
	if n := p.Entries.Len(); n != 1 || p.Entries.IsDir(0) {
		return plan.Entry{}, fault.New(
			wire.NotOneObject,
			"a volume with volumeMode Block takes exactly one object and the source has %d; "+
				"name it in spec.objects",
			n,
		)
	}
	return p.Entries.At(0), nil
}

// enter decides whether the device may be written, as transfer.enter does, in the phase Listing. A later attempt
// may find it complete: then it says by which method.
func (d *deviceLoad) enter(ctx context.Context, e plan.Entry) (proof.Method, error) {
	o, err := d.device.Look()
	if err != nil {
		return proof.Unverified, err
	}
	first, began := d.request.First(), d.request.Volume.Began
	may := o.Admit(first, began)
	d.status.held.Store(may != volume.Begin && may != volume.GoOn)
	if e.Size > d.device.Size {
		return proof.Unverified, d.tooSmall(e, o, may)
	}
	if may == volume.Recognise {
		return d.recogniseOr(ctx, e, o.Refusal())
	}
	if o.Journal == volume.Nobodys && (!first || began) {
		by, err := d.isComplete(ctx, e)
		if err != nil || by != proof.Unverified {
			return by, err
		}
	}
	switch may {
	case volume.Refuse, volume.Prove, volume.Recognise, volume.Confirm: // It was not proven just now.
		return proof.Unverified, o.Refusal()
	case volume.Begin, volume.GoOn:
	}
	return proof.Unverified, d.takeOver(may, began)
}

// takeOver makes the device this mover's.
func (d *deviceLoad) takeOver(may volume.Admission, began bool) error {
	if err := d.refuseWritten(may, began); err != nil {
		return err
	}
	if err := d.device.TakeOver(); err != nil {
		return err
	}
	d.status.began.Store(true)
	return nil
}

// tooSmall refuses a device that cannot take the object. What is on it counts more than that: a volume that is too
// small may be replaced.
func (d *deviceLoad) tooSmall(e plan.Entry, o volume.Occupancy, may volume.Admission) error {
	if may != volume.Begin && may != volume.GoOn {
		return o.Refusal()
	}
	enough := volume.RoundUp(e.Size)
	return fault.New(wire.VolumeTooSmall,
		"object %s has %s and the volume %s; raise spec.resources.requests.storage of the claim to at least %s",
		plan.Quote(e.Key), volume.InUnits(e.Size), volume.InUnits(d.device.Size), volume.InUnits(enough)).Requiring(enough)
}

// refuseWritten refuses a device on which a mover began and that carries neither its header nor a signature: that
// mover completed it, unless nothing is on it.
func (d *deviceLoad) refuseWritten(may volume.Admission, began bool) error {
	if may != volume.Begin || !began {
		return nil
	}
	found, err := d.device.TailHolds(0)
	if err != nil || found == "" {
		return err
	}
	d.status.held.Store(true)
	return volume.NotEmpty("it holds bytes that are not the object")
}

// recogniseOr refuses a device that is not recognised.
func (d *deviceLoad) recogniseOr(ctx context.Context, e plan.Entry, refusal *fault.Failure) (proof.Method, error) {
	by, err := d.recognise(ctx, e)
	switch {
	case ctx.Err() != nil:
		return proof.Unverified, context.Cause(ctx)
	case err == nil && by != proof.Unverified:
		return by, nil
	}
	return proof.Unverified, refusal.Because(err)
}

// recognise is isComplete for a first attempt, see transfer.recognise: nothing may lie behind the
// object, as far as that can be told without reading all of a large device.
func (d *deviceLoad) recognise(ctx context.Context, e plan.Entry) (proof.Method, error) {
	found, err := d.device.TailHolds(e.Size)
	if err != nil || found != "" {
		return proof.Unverified, err
	}
	return d.isComplete(ctx, e)
}

// isComplete compares the device with the object by content. What cannot be compared so is
// not complete.
func (d *deviceLoad) isComplete(ctx context.Context, e plan.Entry) (proof.Method, error) {
	want, err := d.prover.ExpectContent(ctx, e)
	if err != nil || want.Method == proof.BySize {
		return proof.Unverified, err
	}
	found, err := d.device.Content(e.Size, nil)
	if err != nil {
		return proof.Unverified, err
	}
	by, err := d.readBack(ctx, e, want, found)
	if errors.Is(err, fault.ErrDiffers) || by == proof.BySize {
		return proof.Unverified, nil
	}
	return by, err
}
