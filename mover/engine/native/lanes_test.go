// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5"
	"sync"
	"testing"
	"time"
)

// TestLanesOfManyConnections: the buffers of one server are less than two for each of many hashes, which
// then wait for each other without an end.
func TestLanesOfManyConnections(t *testing.T) {
	t.Parallel()
	var l lanes
	besides := l.besides(fixedConnections)
	body := random(1, 300_000)
	want := md5.Sum(body)
	var all sync.WaitGroup
	for range fixedConnections {
		all.Go(func() {
			h := besides()
			for range 5 {
				h.Reset()
				_, _ = h.Write(body[:37]) // What comes with the head of an answer is no whole block.
				_, _ = h.Write(body[37:])
				if got := h.Sum(nil); [md5.Size]byte(got) != want {
					t.Error("the sum is wrong")
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	select {
	case <-ended:
		l.close()
	case <-time.After(time.Minute):
		t.Fatal("the sums never end")
	}
}
