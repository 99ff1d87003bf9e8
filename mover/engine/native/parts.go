// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"hash"
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
)

// Parts of an object that are summed while they are fetched, each by itself, whatever their order:
// fewer bytes would cost too much memory for their digests, more would leave connections without work.
const (
	leastPart = 1 << 20
	mostPart  = 64 << 20
)

// inPieces reports whether each part of an object is summed by whoever fetches it.
func inPieces(a engine.Algorithm, partSize int64) bool {
	return a == engine.MD5Parts && partSize >= leastPart && partSize <= mostPart
}

// pieceSize in bytes is what one worker brings of a large object: whole parts where it sums them.
func pieceSize(a engine.Algorithm, partSize int64) int64 {
	if inPieces(a, partSize) {
		return partSize * max(1, rangeSize/partSize)
	}
	return rangeSize
}

// partSums are the digests of the parts in a range that begins with one. The zero value makes none.
type partSums struct {
	inner   hash.Hash
	size    int64
	left    int64
	digests [][md5.Size]byte
	pending *sync.WaitGroup // Counts digests that are not there yet.
}

// begin the sums of the parts of a range, both with their sizes in bytes.
func (p *partSums) begin(inner hash.Hash, size, length int64, pending *sync.WaitGroup) {
	*p = partSums{
		inner:   inner,
		size:    size,
		left:    size,
		digests: make([][md5.Size]byte, 0, (length+size-1)/size), // None of them moves.
		pending: pending,
	}
}

// write takes bytes that came in the buffer of a line, or, where there is none, in somebody else's. It may exchange
// the line's buffer: nobody reads the bytes afterwards.
func (p *partSums) write(b []byte, from line) {
	if h, ok := p.inner.(*laneHash); ok && from != nil && len(b) >= handedFrom && int64(len(b)) <= p.left {
		h.hand(b, from.swap)
		if p.left -= int64(len(b)); p.left == 0 {
			p.endPart()
		}
		return
	}
	for p.inner != nil && len(b) > 0 {
		n := min(int64(len(b)), p.left)
		_, _ = p.inner.Write(b[:n]) // A hash never fails.
		b = b[n:]
		if p.left -= n; p.left == 0 {
			p.endPart()
		}
	}
}

// endPart does not wait for a digest that is computed beside others: what follows on this connection fills their
// lanes meanwhile.
func (p *partSums) endPart() {
	p.digests = append(p.digests, [md5.Size]byte{})
	digest := &p.digests[len(p.digests)-1]
	if h, ok := p.inner.(*laneHash); ok {
		p.pending.Add(1)
		h.later(func(d [md5.Size]byte) {
			*digest = d
			p.pending.Done()
		})
	} else {
		p.inner.Sum(digest[:0])
	}
	p.inner.Reset()
	p.left = p.size
}

// giveUp has nobody wait for what follows.
func (p *partSums) giveUp() {
	if p.inner != nil {
		p.inner.Reset()
	}
}

// end returns the digests of all parts; the last one of an object may be shorter. Those that are pending come later.
func (p *partSums) end() [][md5.Size]byte {
	if p.inner != nil && p.left < p.size {
		p.endPart()
	}
	return p.digests
}

// sumOfParts is the MD5 of the digests of all parts, in their order.
func sumOfParts(ranges []summed, partSize int64) engine.Sum {
	outer := md5.New() // #nosec G401 -- as above.
	for _, r := range ranges {
		for _, d := range r.digests {
			outer.Write(d[:])
		}
	}
	sum := engine.Sum{Algorithm: engine.MD5Parts, PartSize: partSize}
	outer.Sum(sum.Value[:0])
	return sum
}
