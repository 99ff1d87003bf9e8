// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
)

// nativeDevice is the target of the one object of a device. It is read back by who asked for it,
// and sums what it is given meanwhile.
type nativeDevice struct {
	*volume.DeviceWriter

	size int64
	sum  scattered
}

// Create implements engine.Target. What an earlier try has written comes again, but for what is present.
func (n *nativeDevice) Create(task engine.Task) (engine.File, error) {
	n.sum.only(task.Present)
	return n, nil
}

func (n *nativeDevice) WriteAt(p []byte, at int64) (int, error) {
	written, err := n.DeviceWriter.WriteAt(p, at)
	n.sum.add(p[:written], at)
	return written, err //nolint:wrapcheck // The device says what failed.
}

// Commit implements engine.File.
func (n *nativeDevice) Commit() (engine.Identity, error) { return engine.Identity{Size: n.size}, nil }

// Abandon implements engine.File.
func (*nativeDevice) Abandon() {}

// deviceSink keeps what became of the one object.
type deviceSink struct {
	listing  *listing
	fetcher  *fetcher
	progress *progress

	mu      sync.Mutex
	arrived bool
	err     error
}

// Arrived implements engine.Sink.
func (s *deviceSink) Arrived(e engine.Evidence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.inFlight.Add(-e.Fetched)
	s.arrived = true
}

// Failed implements engine.Sink.
func (s *deviceSink) Failed(i int, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = s.listing.explainNative(i, err)
	return nil
}

// Wrote implements engine.Sink.
func (s *deviceSink) Wrote(_ int, n int64) { s.fetcher.wrote(n) }

// Grew implements engine.Sink.
func (*deviceSink) Grew(int, engine.Range, uint64) {}

// fetchNative is fetch with the engine of our own. The object is there when every byte of it was
// written once.
func (d *deviceLoad) fetchNative(ctx context.Context, e plan.Entry) error {
	own, err := d.fetcher.native(ctx)
	if err != nil {
		return err
	}
	sink := &deviceSink{listing: d.listing, fetcher: d.fetcher, progress: d.progress}
	task := d.listing.task(0)
	task.Present = d.target.sum.present()
	if err := errors.Join(own.Fetch(ctx, slices.Values([]engine.Task{task}), d.target, sink), sink.err); err != nil {
		return err
	}
	crc, whole := d.target.sum.of(e.Size)
	if !sink.arrived || !whole && e.Size > 0 {
		return errShort
	}
	d.arrived = crc
	return nil
}
