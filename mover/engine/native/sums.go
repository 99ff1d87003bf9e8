// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
)

// sums makes the sum of a large object whose ranges arrive in any order. CRCs of ranges are
// combined, and so are the MD5s of parts that are neither tiny nor huge. Other sums follow the
// bytes in their order: they are read back from the file, that is from memory, as soon as
// everything before them is there.
type sums struct {
	algorithm engine.Algorithm
	partSize  int64 // For engine.MD5Parts.
	file      engine.File
	size      int64

	mu      sync.Mutex
	done    []summed       // Of sums that are combined.
	extents []engine.Range // Written, sorted and apart.
	grown   *sync.Cond
	over    bool
	result  chan followed  // Of sums that follow the bytes; else nil.
	pending sync.WaitGroup // Counts digests of parts that are still to come.
}

// summed is the CRC of a range, or the MD5s of its parts.
type summed struct {
	part    engine.Range
	crc     uint64
	digests [][md5.Size]byte
}

type followed struct {
	sum engine.Sum
	err error
}

func newSums(a engine.Algorithm, partSize int64, file engine.File, size int64) *sums {
	s := &sums{algorithm: a, partSize: partSize, file: file, size: size}
	s.grown = sync.NewCond(&s.mu)
	if a != engine.None && !s.combined() {
		s.result = make(chan followed, 1)
		go s.follow(partSize)
	}
	return s
}

// combined reports whether the sum is made of those of ranges.
func (s *sums) combined() bool { return isCRC(s.algorithm) || inPieces(s.algorithm, s.partSize) }

// add tells that a range is in the file, and its sums.
func (s *sums) add(r *rangeSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.combined() {
		s.done = append(s.done, summed{r.part, r.crc, r.parts.end()})
	}
}

// wrote tells that a range is in the file.
func (s *sums) wrote(part engine.Range) {
	if s.result == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extents = insert(s.extents, part)
	if s.extents[0].Offset == 0 {
		s.grown.Signal()
	}
}

// insert a range that overlaps no other one.
func insert(list []engine.Range, r engine.Range) []engine.Range {
	i, _ := slices.BinarySearchFunc(list, r.Offset, func(e engine.Range, at int64) int {
		return int(min(max(e.Offset-at, -1), 1))
	})
	if i > 0 && list[i-1].End() == r.Offset {
		i--
		list[i].Length += r.Length
	} else {
		list = slices.Insert(list, i, r)
	}
	if i+1 < len(list) && list[i].End() == list[i+1].Offset {
		list[i].Length += list[i+1].Length
		list = slices.Delete(list, i+1, i+2)
	}
	return list
}

// follow sums the file from its start as it grows.
func (s *sums) follow(partSize int64) {
	var summer summer
	summer.begin(s.algorithm, partSize, s.size)
	buffer := make([]byte, bufferSize)
	for at := int64(0); at < s.size; {
		until, ok := s.beyond(at)
		if !ok {
			s.result <- followed{err: errAbandoned}
			return
		}
		n, err := s.file.ReadAt(buffer[:min(until-at, int64(len(buffer)))], at)
		if n == 0 && err != nil {
			s.result <- followed{err: localError{fmt.Errorf("read back: %w", err)}}
			return
		}
		summer.write(buffer[:n])
		at += int64(n)
	}
	s.result <- followed{sum: summer.end()}
}

// errAbandoned ends a sum that nobody wants any more.
var errAbandoned = errors.New("the object did not arrive")

// beyond waits until there are bytes behind at, and returns where they end.
func (s *sums) beyond(at int64) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.over && (len(s.extents) == 0 || s.extents[0].Offset > 0 || s.extents[0].End() <= at) {
		s.grown.Wait()
	}
	if s.over {
		return 0, false
	}
	return s.extents[0].End(), true
}

// abandon ends the sum of an object that did not arrive. The file may be closed after it.
func (s *sums) abandon() {
	s.mu.Lock()
	s.over = true
	s.grown.Broadcast()
	s.mu.Unlock()
	if s.result != nil {
		<-s.result
	}
}

// end returns the sum of an object of which every range was added.
func (s *sums) end() (engine.Sum, error) {
	if s.result != nil {
		r := <-s.result
		return r.sum, r.err
	}
	if s.algorithm == engine.None {
		return engine.Sum{}, nil
	}
	s.pending.Wait()
	return s.combine()
}

// combine the sums of all ranges.
func (s *sums) combine() (engine.Sum, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.done, func(a, b summed) int { return int(min(max(a.part.Offset-b.part.Offset, -1), 1)) })
	crc, at := uint64(0), int64(0)
	for _, d := range s.done {
		if d.part.Offset != at {
			return engine.Sum{}, fmt.Errorf("%w: bytes %d to %d were not summed", errAbandoned, at, d.part.Offset)
		}
		if isCRC(s.algorithm) {
			crc = combine(s.algorithm, crc, d.crc, d.part.Length)
		}
		at = d.part.End()
	}
	if at != s.size {
		return engine.Sum{}, fmt.Errorf("%w: bytes %d to %d were not summed", errAbandoned, at, s.size)
	}
	if s.algorithm == engine.MD5Parts {
		return sumOfParts(s.done, s.partSize), nil
	}
	return sumOf(s.algorithm, crc), nil
}
