// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"hash"

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
	digests []byte // One behind the other.
}

// begin the sums of parts of a size in bytes.
func (p *partSums) begin(inner hash.Hash, size int64) {
	*p = partSums{inner: inner, size: size, left: size}
}

func (p *partSums) write(b []byte) {
	for p.inner != nil && len(b) > 0 {
		n := min(int64(len(b)), p.left)
		_, _ = p.inner.Write(b[:n]) // A hash never fails.
		b = b[n:]
		if p.left -= n; p.left == 0 {
			p.endPart()
		}
	}
}

func (p *partSums) endPart() {
	p.digests = p.inner.Sum(p.digests)
	p.inner.Reset()
	p.left = p.size
}

// end returns the digests of all parts; the last one of an object may be shorter.
func (p *partSums) end() []byte {
	if p.inner != nil && p.left < p.size {
		p.endPart()
	}
	return p.digests
}

// sumOfParts is the MD5 of the digests of all parts, in their order.
func sumOfParts(ranges []summed, partSize int64) engine.Sum {
	outer := md5.New() // #nosec G401 -- as above.
	for _, r := range ranges {
		outer.Write(r.digests)
	}
	sum := engine.Sum{Algorithm: engine.MD5Parts, PartSize: partSize}
	outer.Sum(sum.Value[:0])
	return sum
}
