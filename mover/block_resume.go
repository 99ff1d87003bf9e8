// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// syncFor is how long a mover that is told to end waits for its device: its report has to be written before the grace
// period is over.
var syncFor = 3 * time.Second // A variable for tests alone.

// begin makes the target of a device, with what earlier movers have left there. Where nothing but sizes can be
// compared, all bytes have to come in one go, and a small object comes whole anyway.
func (d *deviceLoad) begin(ctx context.Context, e plan.Entry, want proof.Expectation) error {
	if !d.fetcher.isNative() {
		return nil
	}
	d.target = &nativeDevice{size: e.Size}
	if want.Method == proof.BySize || d.plan.TagText(e.ETag) == "" || e.Size < plan.LargeSize {
		return nil
	}
	d.manifest = d.plan.Digest()
	if a := d.request.Volume.Arrived; a != nil && a.Manifest == d.manifest {
		if a.AtOnce {
			d.manifest = ""
			return nil
		}
		d.most = a.Most
		if err := d.keep(ctx, e, a.Ranges); err != nil {
			d.manifest = "" // Not all was read, and what was told stays told.
			return err
		}
	}
	d.progress.tellArrived(d.told)
	return nil
}

// keep reads ranges back that were told to be on the device. Those that have their sum need not come again.
func (d *deviceLoad) keep(ctx context.Context, e plan.Entry, ranges []wire.ArrivedRange) error {
	if len(ranges) == 0 {
		return nil
	}
	d.progress.enter(wire.Verifying)
	found, err := d.device.Content(e.Size, nil)
	if err != nil { // What the device has refused is in memory, and reads as if it was there.
		d.log.printf("the device did not take what an earlier mover wrote, so all of it comes again: %v", err)
		return nil
	}
	kept := int64(0)
	for _, r := range ranges {
		if r.Offset < plan.HeaderSize || r.Offset+r.Length > e.Size {
			continue
		}
		sum := crc64nvme.New()
		n, err := copyAll(ctx, sum, io.NewSectionReader(found, r.Offset, r.Length))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			d.log.printf("cannot read %d bytes at %d of the device, which come again: %v", r.Length, r.Offset, err)
		case n == r.Length && sum.Sum64() == r.Sum:
			d.target.sum.insert(summedRange{engine.Range{Offset: r.Offset, Length: r.Length}, r.Sum})
			kept += r.Length
		}
	}
	if kept > 0 {
		d.log.printf("going on with %s: %s of it are on the device", plan.Quote(e.Key), volume.InUnits(kept))
	}
	return nil
}

// told is what is on the device now; nil where that is of no use to another mover.
func (d *deviceLoad) told() *wire.Arrived {
	if d.manifest == "" {
		return nil
	}
	if d.atOnce.Load() {
		return &wire.Arrived{Manifest: d.manifest, Most: d.most, AtOnce: true}
	}
	ranges, _ := d.target.sum.tell()
	return &wire.Arrived{Manifest: d.manifest, Most: d.most, Ranges: ranges}
}

// leave tells what is on the device to the next mover, once the device has taken it. To have more on it than any mover
// before is progress.
func (d *deviceLoad) leave(ctx context.Context, why error) {
	if d.manifest == "" || fault.ReasonOf(why) == wire.Fenced {
		return
	}
	a := d.told()
	switch synced, err := soonSynced(ctx, d.device.Sync); {
	case err != nil:
		a.Ranges = nil
	case synced && !a.AtOnce:
		if _, bytes := d.target.sum.tell(); bytes > a.Most {
			a.Most = bytes
			d.status.progressed.Store(true)
		}
	}
	d.status.arrived = a
}

// soonSynced waits for a sync, and not for long once the mover is to end.
func soonSynced(ctx context.Context, sync func() error) (synced bool, err error) {
	done := make(chan error, 1)
	go func() { done <- sync() }()
	select {
	case err := <-done:
		return err == nil, err
	case <-ctx.Done():
	}
	soon := time.NewTimer(syncFor)
	defer soon.Stop()
	select {
	case err := <-done:
		return err == nil, err
	case <-soon.C:
		return false, nil
	}
}

// forget has all of the object come again.
func (d *deviceLoad) forget() {
	if d.target != nil {
		d.target.sum.only(nil)
	}
}

// errNotAtOnce means that a device that cannot be compared holds bytes that did not come just now.
var errNotAtOnce = errors.New("nothing but the size of the object can be compared, so all of it has to come at once")
