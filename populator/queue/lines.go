// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"cmp"
	"slices"
	"time"
)

// waiter is a request that waits.
type waiter struct {
	Request

	limits []limit
	// first and asked are when it asked first and last.
	first, asked time.Time
	// woken is when it was told that its turn came; zero while it was not since it asked.
	woken time.Time
	// told is the position that was given last, at toldAt.
	told   Position
	toldAt time.Time
}

func (w *waiter) compare(other *waiter) int {
	return cmp.Or(w.Since.Compare(other.Since), cmp.Compare(w.UID, other.UID))
}

// line is the waiters of one namespace, the oldest first.
type line struct {
	namespace string
	waiters   []*waiter
	// served is when the namespace had its last turn.
	served time.Time
}

// inTurns are the lines in the order of their turns: who had one longest ago is first.
func inTurns(lines map[string]*line) []*line {
	all := make([]*line, 0, len(lines))
	for _, l := range lines {
		if len(l.waiters) > 0 {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b *line) int {
		return cmp.Or(a.served.Compare(b.served), cmp.Compare(a.namespace, b.namespace))
	})
	return all
}

// letIn gives out the places that are free: in rounds, each namespace one mover, its oldest
// that fits. It counts them in taken, calls in for each, and ends early when in says so.
//
// A waiter that does not fit closes the cap that it does not fit for all behind it: else one
// that needs several places would be passed by small ones for ever.
func letIn(lines []*line, taken places, answers, in func(*waiter) bool) {
	next := make([]int, len(lines))
	closed := map[bound]bool{}
	for moved := true; moved; {
		moved = false
		for i, l := range lines {
			// All of a line wait for the cap of its namespace, and for that of the cluster.
			for next[i] < len(l.waiters) && !closed[bound{Cluster, ""}] && !closed[bound{Namespace, l.namespace}] {
				w := l.waiters[next[i]]
				next[i]++
				if !answers(w) {
					continue
				}
				if shut, ok := blocked(w, taken, closed); ok {
					closed[shut.bound] = true
					continue
				}
				taken.add(w.Use)
				moved = true
				if !in(w) {
					return
				}
				break
			}
		}
	}
}

func blocked(w *waiter, taken places, closed map[bound]bool) (limit, bool) {
	for _, l := range w.limits {
		if closed[l.bound] {
			return l, true
		}
	}
	return taken.full(w)
}

// ahead counts the waiters whose turn is before w's and who wait for the same cap.
func ahead(lines []*line, w *waiter, b bound) (n int) {
	mine := slices.IndexFunc(lines, func(l *line) bool { return l.namespace == w.Namespace })
	round, _ := slices.BinarySearchFunc(lines[mine].waiters, w, (*waiter).compare)
	for i, l := range lines {
		before := round
		if i < mine {
			before++
		}
		n += l.waiting(min(before, len(l.waiters)), b)
	}
	return n
}

// waiting counts those of the first waiters of a line that wait for a cap.
func (l *line) waiting(first int, b bound) (n int) {
	switch b.kind {
	case Cluster:
		return first
	case Namespace:
		if l.namespace == b.name {
			return first
		}
		return 0
	case Source, Endpoint:
	}
	for _, other := range l.waiters[:first] {
		if b.kind == Endpoint && other.Endpoint == b.name || b.kind == Source && other.Source == b.name {
			n++
		}
	}
	return n
}
