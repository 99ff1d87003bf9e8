// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/native"
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

// Create implements engine.Target. What an earlier try has written comes again.
func (n *nativeDevice) Create(engine.Task) (engine.File, error) {
	n.sum.reset()
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

// scattered is the CRC64NVME of bytes that arrive in pieces and in any order.
type scattered struct {
	mu   sync.Mutex
	list []summedRange // Sorted and apart.
}

type summedRange struct {
	engine.Range

	crc uint64
}

func (s *scattered) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// add bytes that overlap no others.
func (s *scattered) add(p []byte, at int64) {
	piece := summedRange{engine.Range{Offset: at, Length: int64(len(p))}, crc64nvme.Update(0, p)}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.list, at, func(e summedRange, at int64) int {
		return int(min(max(e.Offset-at, -1), 1))
	})
	s.list = slices.Insert(s.list, i, piece)
	s.join(i)
	s.join(i - 1)
}

// join a range and the one behind it if they touch.
func (s *scattered) join(i int) {
	if i < 0 || i+1 >= len(s.list) || s.list[i].End() != s.list[i+1].Offset {
		return
	}
	next := s.list[i+1]
	s.list[i].crc = native.CombineCRC64NVME(s.list[i].crc, next.crc, next.Length)
	s.list[i].Length += next.Length
	s.list = slices.Delete(s.list, i+1, i+2)
}

// of is the sum of the first bytes, if nothing but those and all of them were added.
func (s *scattered) of(size int64) (crc uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) != 1 || s.list[0].Range != (engine.Range{Length: size}) {
		return 0, false
	}
	return s.list[0].crc, true
}

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
func (d *deviceLoad) fetchNative(ctx context.Context, e plan.Entry, to *volume.DeviceWriter) error {
	own, err := d.fetcher.native(ctx)
	if err != nil {
		return err
	}
	target := &nativeDevice{DeviceWriter: to, size: e.Size}
	sink := &deviceSink{listing: d.listing, fetcher: d.fetcher, progress: d.progress}
	tasks := slices.Values([]engine.Task{d.listing.task(0)})
	if err := errors.Join(own.Fetch(ctx, tasks, target, sink), sink.err); err != nil {
		return err
	}
	crc, whole := target.sum.of(e.Size)
	if !sink.arrived || !whole && e.Size > 0 {
		return errShort
	}
	d.arrived = crc
	return nil
}
