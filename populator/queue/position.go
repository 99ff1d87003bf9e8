// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"fmt"
	"time"
)

// Position is where a request stands that may not start yet.
type Position struct {
	// Cap that is reached, for Name (a namespace or host), and Most movers that it allows.
	Cap  Cap
	Name string
	Most int
	// Ahead is how many wait for the same cap and come before; rounded down to two digits,
	// so that it is not written anew for each mover that ends.
	Ahead int
	// Waited is for how long it has been asking.
	Waited time.Duration
}

// position is what keeps a waiter, after everybody before it was counted in taken.
func position(lines []*line, taken places, w *waiter, now time.Time) Position {
	l, ok := taken.full(w)
	if !ok { // What is free is kept for one before it that needs several places.
		l = w.limits[len(w.limits)-1]
	}
	return Position{
		Cap:    l.kind,
		Name:   l.name,
		Most:   l.most,
		Ahead:  rounded(ahead(lines, w, l.bound)),
		Waited: now.Sub(w.first),
	}
}

func rounded(n int) int {
	unit := 1
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// tell repeats the last position for a while, unless it waits for something else now.
func (w *waiter) tell(p Position, now time.Time) *Position {
	if w.toldAt.IsZero() || now.Sub(w.toldAt) >= tellEvery || w.told.Cap != p.Cap || w.told.Most != p.Most {
		w.told, w.toldAt = p, now
	}
	told := w.told
	told.Waited = p.Waited
	return &told
}

// String says which cap is reached, what sets it, and how many come before.
func (p Position) String() string {
	var what string
	switch p.Cap {
	case Source:
		what = fmt.Sprintf("the source's spec.transfer.maxMovers is %d", p.Most)
	case Endpoint:
		what = fmt.Sprintf("at most %d movers use %s at once (--max-movers-per-endpoint)", p.Most, p.Name)
	case Namespace:
		what = fmt.Sprintf("at most %d movers run in namespace %s at once (--max-movers-per-namespace)", p.Most, p.Name)
	case Cluster:
		what = fmt.Sprintf("at most %d movers run in the cluster at once (--max-movers)", p.Most)
	}
	switch {
	case p.Ahead == 0:
		return what + "; it is next."
	case p.Ahead >= 100:
		return fmt.Sprintf("%s; about %d movers are ahead.", what, p.Ahead)
	}
	return fmt.Sprintf("%s; %d ahead of it.", what, p.Ahead)
}

// Recheck is when to ask again without being woken: soon for the first ones, because a place
// that was kept in vain wakes nobody.
func (p Position) Recheck() time.Duration {
	if p.Ahead < 10 {
		return 10 * time.Second
	}
	return time.Minute
}

// Wait is what is waited for.
type Wait struct {
	Namespace string
	Cap       Cap
}

// Waiting counts who waits for what.
func (q *Queue) Waiting() map[Wait]int {
	all := map[Wait]int{}
	if q == nil {
		return all
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.waiting {
		all[Wait{w.Namespace, w.told.Cap}]++
	}
	return all
}
