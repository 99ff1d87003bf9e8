// SPDX-License-Identifier: Apache-2.0

package queue

import "testing"

// A pass asks the queue each time that it sees its claim wait. What that costs must not grow
// with how many wait, or a thousand claims cost a thousand times as much.
func TestAskingCostsTheSameInALongLine(t *testing.T) {
	cost := func(waiters int) float64 {
		q, _ := newQueue(Caps{Cluster: 200, Namespace: 10})
		var movers []Mover
		for n := range waiters {
			if q.Ask(movers, request("a", n)) == nil {
				movers = append(movers, running(request("a", n)))
			}
		}
		last := request("a", waiters-1)
		return testing.AllocsPerRun(100, func() {
			if p := q.Ask(movers, last); p == nil || p.Cap != Namespace {
				t.Errorf("the last of %d stands at %v", waiters, p)
			}
		})
	}
	if few, many := cost(100), cost(3000); many > 1.5*few {
		t.Errorf("the last of 100 allocates %.0f times, the last of 3000 %.0f times", few, many)
	}
}
