// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/s3populator/s3populator/mover/plan"
)

// TestExtents compares with a list of bytes.
func TestExtents(t *testing.T) {
	t.Parallel()
	const size = 40
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var x Extents
		var bytes [size + 1]bool
		for range 1 + random.IntN(9) {
			r := plan.Range{Offset: random.Int64N(size), Length: random.Int64N(8)}
			r.Length = min(r.Length, size-r.Offset)
			x = x.With(r)
			for at := r.Offset; at < r.End(); at++ {
				bytes[at] = true
			}
		}
		var want Extents
		for at, from := 0, -1; at <= size; at++ {
			switch {
			case bytes[at] && from < 0:
				from = at
			case !bytes[at] && from >= 0:
				want = append(want, plan.Range{Offset: int64(from), Length: int64(at - from)})
				from = -1
			}
		}
		if !slices.Equal(x, want) {
			t.Fatalf("the ranges are %v, want %v", x, want)
		}
		beginning := int64(slices.Index(bytes[:], false))
		if n := x.Beginning(); n != beginning {
			t.Fatalf("the beginning of %v is %d, want %d", x, n, beginning)
		}
		r := plan.Range{Offset: random.Int64N(size), Length: 1 + random.Int64N(3)}
		if has := x.Has(r); r.End() <= size && has == slices.Contains(bytes[r.Offset:r.End()], false) {
			t.Fatalf("%v has %v: %v", x, r, has)
		}
	}
}
