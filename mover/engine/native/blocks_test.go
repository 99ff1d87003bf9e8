// SPDX-License-Identifier: Apache-2.0

package native

import (
	"testing"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
)

// TestRangeSum: blocks are those of the object, wherever the range begins and in whatever pieces it
// comes, and the sum is that of the whole range.
func TestRangeSum(t *testing.T) {
	t.Parallel()
	body := random(1, 3*blockSize+1000)
	part := engine.Range{Offset: 2*blockSize - 77, Length: int64(len(body))}
	for _, a := range []engine.Algorithm{engine.CRC64NVME, engine.CRC32C, engine.MD5} {
		s := newRangeSum(a, part)
		at := part.Offset
		for b, n := body, 1; len(b) > 0; n = n*3 + 1 {
			n = min(n, len(b))
			s.fetched(b[:n], nil, func(r engine.Range, crc uint64) {
				if r.Offset != at || r.End()%blockSize != 0 && r.End() != part.End() || r.Length > blockSize {
					t.Errorf("%v is no block behind %d", r, at)
				}
				if want := crc64nvme.Checksum(body[r.Offset-part.Offset : r.End()-part.Offset]); crc != want {
					t.Errorf("the sum of %v is %x, want %x", r, crc, want)
				}
				at = r.End()
			})
			b = b[n:]
		}
		if at != part.End() || s.at != at {
			t.Errorf("blocks were told of up to %d of %d", at, part.End())
		}
		if want := update(a, 0, body); isCRC(a) && s.crc != want {
			t.Errorf("the sum of the range is %x, want %x", s.crc, want)
		}
	}
}
