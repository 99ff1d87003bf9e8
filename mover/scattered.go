// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"slices"
	"sync"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// scattered is the CRC64NVME of the bytes of a device that arrive in pieces and in any order. What is in the first
// sector, which is written last, has ranges of its own.
type scattered struct {
	mu   sync.Mutex
	list []summedRange // Sorted and apart.
}

type summedRange struct {
	engine.Range

	crc uint64
}

// add bytes that were written. Ranges over which they went are not known any more.
func (s *scattered) add(p []byte, at int64) {
	if n := plan.HeaderSize - at; 0 < n && n < int64(len(p)) {
		s.add(p[:n], at)
		p, at = p[n:], plan.HeaderSize
	}
	if len(p) == 0 {
		return
	}
	s.insert(summedRange{engine.Range{Offset: at, Length: int64(len(p))}, crc64nvme.Update(0, p)})
}

func (s *scattered) insert(piece summedRange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _ := slices.BinarySearchFunc(s.list, piece.Offset, func(e summedRange, at int64) int {
		return cmp.Compare(e.End(), at+1) // The first one that ends behind it.
	})
	last := first
	for last < len(s.list) && s.list[last].Offset < piece.End() {
		last++
	}
	s.list = slices.Replace(s.list, first, last, piece)
	s.join(first)
	s.join(first - 1)
}

// join a range and the one behind it if they touch.
func (s *scattered) join(i int) {
	if i < 0 || i+1 >= len(s.list) || s.list[i].End() != s.list[i+1].Offset || s.list[i].End() == plan.HeaderSize {
		return
	}
	next := s.list[i+1]
	s.list[i].crc = native.CombineCRC64NVME(s.list[i].crc, next.crc, next.Length)
	s.list[i].Length += next.Length
	s.list = slices.Delete(s.list, i+1, i+2)
}

// only keeps those that are among some ranges, and forgets the others.
func (s *scattered) only(some []engine.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(e summedRange) bool { return !slices.Contains(some, e.Range) })
}

// present are the ranges behind the first sector.
func (s *scattered) present() []engine.Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []engine.Range
	for _, e := range s.list {
		if e.Offset >= plan.HeaderSize {
			list = append(list, e.Range)
		}
	}
	return list
}

// of is the sum of the first bytes, if nothing but those and all of them were added.
func (s *scattered) of(size int64) (crc uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int64(0)
	for _, e := range s.list {
		if e.Offset != at {
			return 0, false
		}
		crc, at = native.CombineCRC64NVME(crc, e.crc, e.Length), e.End()
	}
	return crc, at == size && size > 0
}

// tell says what is there behind the first sector: the largest ranges, where there are too many.
func (s *scattered) tell() (ranges []wire.ArrivedRange, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.list {
		if e.Offset >= plan.HeaderSize {
			ranges = append(ranges, wire.ArrivedRange{Offset: e.Offset, Length: e.Length, Sum: e.crc})
		}
	}
	if len(ranges) > wire.MaxArrived {
		slices.SortFunc(ranges, func(a, b wire.ArrivedRange) int { return cmp.Compare(b.Length, a.Length) })
		ranges = ranges[:wire.MaxArrived]
		slices.SortFunc(ranges, func(a, b wire.ArrivedRange) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	for _, r := range ranges {
		bytes += r.Length
	}
	return ranges, bytes
}
