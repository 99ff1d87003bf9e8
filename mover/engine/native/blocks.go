// SPDX-License-Identifier: Apache-2.0

package native

import (
	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
)

// blockSize in bytes is what the sink is told of a large object at a time, at offsets that are
// multiples of it: what is on its way when a mover is killed comes again.
const blockSize = 4 << 20

// rangeSum sums a range while it is written, and each block of it.
type rangeSum struct {
	algorithm engine.Algorithm
	part      engine.Range
	at        int64  // Up to here it is written.
	crc       uint64 // Of the range; with CRC64NVME of all blocks that are whole.
	from      int64  // Where the block begins.
	block     uint64 // Its CRC64NVME up to at.
	fresh     bool   // Some of the block was fetched just now.
	parts     partSums
}

func newRangeSum(a engine.Algorithm, part engine.Range) *rangeSum {
	return &rangeSum{algorithm: a, part: part, at: part.Offset, from: part.Offset}
}

// fetched sums bytes that were written and tells of each block that is whole with them. They came in the buffer of a
// line, and nobody reads them afterwards.
func (s *rangeSum) fetched(b []byte, from line, whole func(engine.Range, uint64)) {
	s.write(b, true, whole)
	s.parts.write(b, from)
}

// present sums bytes that had been there.
func (s *rangeSum) present(b []byte, whole func(engine.Range, uint64)) {
	s.write(b, false, whole)
	s.parts.write(b, nil)
}

func (s *rangeSum) write(b []byte, fresh bool, whole func(engine.Range, uint64)) {
	if isCRC(s.algorithm) && s.algorithm != engine.CRC64NVME {
		s.crc = update(s.algorithm, s.crc, b)
	}
	for len(b) > 0 {
		end := min((s.from/blockSize+1)*blockSize, s.part.End())
		n := min(int64(len(b)), end-s.at)
		s.block = crc64nvme.Update(s.block, b[:n])
		s.at, s.fresh, b = s.at+n, s.fresh || fresh, b[n:]
		if s.at == end {
			s.endBlock(whole)
		}
	}
}

// skip passes bytes that had been there and whose sum is made elsewhere.
func (s *rangeSum) skip(n int64, whole func(engine.Range, uint64)) {
	if s.at > s.from {
		s.endBlock(whole)
	}
	s.at += n
	s.from = s.at
}

func (s *rangeSum) endBlock(whole func(engine.Range, uint64)) {
	r := engine.Range{Offset: s.from, Length: s.at - s.from}
	if s.fresh {
		whole(r, s.block)
	}
	if s.algorithm == engine.CRC64NVME { // It need not be computed twice.
		s.crc = combine(s.algorithm, s.crc, s.block, r.Length)
	}
	s.from, s.block, s.fresh = s.at, 0, false
}
