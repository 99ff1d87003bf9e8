// SPDX-License-Identifier: Apache-2.0

package native

import (
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// slowSink takes its time for what arrives, as where a volume stalls in a sync.
type slowSink struct {
	*fixture

	now, most atomic.Int64
}

func (s *slowSink) Arrived(e engine.Evidence) {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	time.Sleep(20 * time.Millisecond) //nolint:forbidigo // It is what is slow.
	s.fixture.Arrived(e)
}

// Sums that come later than their bytes do not let more objects be handed over at once than there are connections:
// each may hold a file open, and a thread.
func TestNoMoreIsHandedOverThanThereAreConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Connections = lanesFrom
	for i := range 40 * lanesFrom {
		f.put(strconv.Itoa(i), random(byte(i), sharedByOurs), nil)
	}
	sink := &slowSink{fixture: f}
	e := New(f.config)
	defer e.Close()
	if err := e.Fetch(t.Context(), slices.Values(f.tasks), f, sink); err != nil {
		t.Fatal(err)
	}
	f.mustHold()
	if most := sink.most.Load(); most > lanesFrom {
		t.Errorf("%d objects were handed over at once, by %d connections", most, lanesFrom)
	}
}
