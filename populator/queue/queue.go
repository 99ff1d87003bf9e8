// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// reservation is how long a place is kept for a mover that was let in and is not seen yet.
	reservation = 30 * time.Second
	// answerTime is how long a place is kept for a waiter that was woken; then it is passed
	// over until it asks again.
	answerTime = 10 * time.Second
	// forgetAfter drops a waiter that does not ask any more. It is longer than any recheck.
	forgetAfter = 5 * time.Minute
	// forgetEvery is the least time between two looks for such waiters: each is a look at all.
	forgetEvery = 10 * time.Second
	// tellEvery is the least time between two positions of one waiter.
	tellEvery = time.Minute
)

// who is a waiter's identity: a claim, or a source that is to be listed.
type who struct {
	role string
	name types.NamespacedName
}

// Queue hands out places. A nil Queue has no caps.
type Queue struct {
	caps Caps
	now  func() time.Time

	mu       sync.Mutex
	lines    map[string]*line // By namespace.
	waiting  map[who]*waiter
	reserved map[types.UID]reserved
	latest   time.Time // When anybody was let in last.
	forgot   time.Time // When waiters were forgotten last.
}

// reserved is a place of a mover that the cache may not show yet.
type reserved struct {
	use   Use
	until time.Time
}

// New makes a queue.
func New(caps Caps, now func() time.Time) *Queue {
	return &Queue{
		caps:     caps,
		now:      now,
		lines:    map[string]*line{},
		waiting:  map[who]*waiter{},
		reserved: map[types.UID]reserved{},
	}
}

// Ask lets a mover in, and then keeps its place until it is seen; or tells where it stands.
// movers are all that the cache has at this moment.
func (q *Queue) Ask(movers []Mover, r Request) *Position {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	taken := q.taken(movers, now)
	if kept, ok := q.reserved[r.UID]; ok {
		q.reserved[r.UID] = reserved{kept.use, now.Add(reservation)}
		return nil
	}
	w := q.join(r, now)
	lines, in := q.turns(movers), false
	letIn(lines, taken, answers(now), func(next *waiter) bool {
		in = next == w
		return !in
	})
	if in {
		q.leave(who{r.Role, r.Name})
		q.serve(r.Namespace, now)
		q.reserved[r.UID] = reserved{r.Use, now.Add(reservation)}
		return nil
	}
	return w.tell(position(lines, taken, w, now), now)
}

// Leave takes a claim or source out of the queue that does not want to start a mover.
func (q *Queue) Leave(role string, name types.NamespacedName) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave(who{role, name})
}

// Release gives a place back whose mover could not be made.
func (q *Queue) Release(uid types.UID) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.reserved, uid)
}

// Empty tells that nobody waits.
func (q *Queue) Empty() bool {
	if q == nil {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

// Next are the claims or sources of a role whose turn has come: they have to ask again.
func (q *Queue) Next(movers []Mover, role string) (all []types.NamespacedName) {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if len(q.waiting) == 0 {
		return nil
	}
	letIn(q.turns(movers), q.taken(movers, now), answers(now), func(w *waiter) bool {
		if w.Role == role {
			all = append(all, w.Name)
			if w.woken.IsZero() {
				w.woken = now
			}
		}
		return true
	})
	return all
}

// taken counts the movers that run and the places that are kept. It forgets the places of
// movers that are seen: from then on they speak for themselves.
func (q *Queue) taken(movers []Mover, now time.Time) places {
	p, seen := places{}, map[types.UID]bool{}
	for _, m := range movers {
		kept, ok := q.reserved[m.UID]
		switch {
		case !ok:
		case m.Last:
			delete(q.reserved, m.UID)
		case m.Runs: // Another pod of the same run follows: its place is kept for it.
			q.reserved[m.UID] = reserved{kept.use, now.Add(reservation)}
		}
		if m.Runs {
			p.add(m.Use)
			seen[m.UID] = true
		}
	}
	for uid, r := range q.reserved {
		switch {
		case !now.Before(r.until):
			delete(q.reserved, uid)
		case !seen[uid]:
			p.add(r.use)
		}
	}
	return p
}

// turns are the lines in order. After a restart the movers tell which namespaces had a turn.
func (q *Queue) turns(movers []Mover) []*line {
	had := map[string]time.Time{}
	for _, m := range movers {
		if l, ok := q.lines[m.Namespace]; ok && l.served.IsZero() && had[m.Namespace].Before(m.Created) {
			had[m.Namespace] = m.Created
		}
	}
	for namespace, at := range had {
		q.lines[namespace].served = at
	}
	return inTurns(q.lines)
}

// serve notes a turn. No two turns are at one time, however coarse the clock is.
func (q *Queue) serve(namespace string, now time.Time) {
	if !now.After(q.latest) {
		now = q.latest.Add(1)
	}
	q.latest, q.line(namespace).served = now, now
}

func (q *Queue) line(namespace string) *line {
	l, ok := q.lines[namespace]
	if !ok {
		l = &line{namespace: namespace}
		q.lines[namespace] = l
	}
	return l
}

// join puts a request into its line, or notes that it still waits.
func (q *Queue) join(r Request, now time.Time) *waiter {
	id := who{r.Role, r.Name}
	w := &waiter{Request: r, limits: q.caps.limits(r), first: now, asked: now}
	if was, ok := q.waiting[id]; ok && was.UID == r.UID {
		w.first, w.told, w.toldAt = was.first, was.told, was.toldAt
	}
	q.leave(id)
	q.forget(now)
	l := q.line(r.Namespace)
	at, _ := slices.BinarySearchFunc(l.waiters, w, (*waiter).compare)
	l.waiters = slices.Insert(l.waiters, at, w)
	q.waiting[id] = w
	return w
}

func (q *Queue) leave(id who) {
	w, ok := q.waiting[id]
	if !ok {
		return
	}
	delete(q.waiting, id)
	l := q.lines[w.Namespace]
	if at, ok := slices.BinarySearchFunc(l.waiters, w, (*waiter).compare); ok {
		l.waiters = slices.Delete(l.waiters, at, at+1)
	}
}

// forget bounds the memory to who still asks, and to namespaces that had a turn lately.
func (q *Queue) forget(now time.Time) {
	if now.Sub(q.forgot) < forgetEvery {
		return
	}
	q.forgot = now
	for id, w := range q.waiting {
		if now.Sub(w.asked) > forgetAfter {
			q.leave(id)
		}
	}
	maps.DeleteFunc(
		q.lines,
		func(_ string, l *line) bool { return len(l.waiters) == 0 && now.Sub(l.served) > forgetAfter },
	)
}

// answers passes over a waiter that was woken and did not come.
func answers(now time.Time) func(*waiter) bool {
	return func(w *waiter) bool { return w.woken.IsZero() || now.Sub(w.woken) <= answerTime }
}
