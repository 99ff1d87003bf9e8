// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5"
	"net/http"
	"sync"
	"testing"

	"github.com/s3populator/s3populator/mover/engine"
)

// lender is a line of which only the buffer counts.
type lender struct {
	line

	buffer []byte
}

func (l *lender) swap(spare []byte) []byte {
	buffer := l.buffer
	l.buffer = spare
	return buffer
}

// TestBuffersThatAreHandedOver: what a line reads next does not change what is still to be summed, and pieces
// that hold the end of a part, or little, are summed as well.
func TestBuffersThatAreHandedOver(t *testing.T) {
	t.Parallel()
	eachLanes(t, func(t *testing.T, l *lanes) {
		const part = leastPart + 100
		besides := l.besides(lanesFrom)
		var all sync.WaitGroup
		for n := range byte(3 * md5Lanes / 2) {
			all.Go(func() {
				body := random(n, 4*part+int(n)*1000)
				from := &lender{buffer: make([]byte, bufferSize)}
				sum := newRangeSum(engine.MD5Parts, engine.Range{Length: int64(len(body))})
				var pending sync.WaitGroup
				sum.parts.begin(besides(), part, int64(len(body)), &pending)
				for rest := body; len(rest) > 0; {
					size := copy(from.buffer, rest)
					sum.fetched(from.buffer[:size], from, func(engine.Range, uint64) {})
					clear(from.buffer)
					rest = rest[size:]
				}
				digests := sum.parts.end()
				pending.Wait()
				for i, got := range digests {
					if got != md5.Sum(body[i*part:min((i+1)*part, len(body))]) {
						t.Errorf("the sum of part %d is wrong", i)
					}
				}
				if len(digests) != (len(body)+part-1)/part {
					t.Errorf("%d parts were summed", len(digests))
				}
			})
		}
		within(t, &all)
		l.close()
	})
}

// TestFaultsBesideOthers: what is lost in the middle of a part, whose bytes were handed over to be summed.
func TestFaultsBesideOthers(t *testing.T) {
	t.Parallel()
	for name, tt := range faults {
		if tt.want != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.config.Connections = md5Lanes
			body := random(1, LargeSize+99)
			f.put("object", body, nil).PartSize = 5 << 20
			f.fault = func(w http.ResponseWriter, r *http.Request, count int) bool { return tt.serve(f, w, r, count) }
			f.mustRun()
			f.mustJudge(nil, "large")
			if got, want := f.got[0].Received, partsOf(body, 5<<20); got != want {
				t.Errorf("the sum is %+v, want %+v", got, want)
			}
		})
	}
}
