// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// How long is waited after a write that did not succeed: doubled each time from the first to
// the last. A stale view heals with the next watch event, so that its first wait is short;
// a refused write is repeated at least once a minute, because nothing tells that it would
// succeed now.
const (
	staleDelay  = 200 * time.Millisecond
	staleLast   = 30 * time.Second
	failedDelay = time.Second
	failedLast  = time.Minute
)

// transientPatience is how long writes may fail for a reason that passes by itself, such as
// an API server that restarts, before the claim tells of it. The fifth try, which is the first
// after that, is due after 15 s at most.
const transientPatience = 12 * time.Second

// stalePatience is the same for a view that stays older than the API server's.
const stalePatience = time.Minute

// write is one kind of write for one claim: an action, or one of these.
type write struct {
	claim types.NamespacedName
	what  string
}

const (
	writeCondition = "Condition"
	writeImport    = "Import"
	// readAll is not a write: all that a decision rests on. It is paced like one.
	readAll = "Read"
)

// setback is how a write has failed so far, without a success in between.
type setback struct {
	since, next time.Time
	times       int
	told        string
	// refused: what wakes us meanwhile does not make the API server accept it.
	refused bool
}

// setbacks pace the writes that fail. Nothing else is decided by them, so that losing them
// with the process costs one early repetition. The zero value is ready.
type setbacks struct {
	mu sync.Mutex
	of map[types.NamespacedName]map[string]setback
}

// failed adds a failure; the next try is due after a time between first and last.
func (b *setbacks) failed(w write, now time.Time, refused bool) setback {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, last := staleDelay, staleLast
	if refused {
		first, last = failedDelay, failedLast
	}
	s, known := b.of[w.claim][w.what]
	if !known || s.refused != refused {
		s = setback{since: now, refused: refused}
	}
	s.times++
	s.next = now.Add(backoff(s.times, first, last))
	b.put(w, s)
	return s
}

// backoff is exponential, and up to a fifth shorter, so that what failed at once is not
// repeated at once.
func backoff(times int, first, last time.Duration) time.Duration {
	delay := first
	for range min(times-1, 16) {
		delay = min(2*delay, last)
	}
	return delay - time.Duration(rand.Int64N(int64(delay)/5+1)) //nolint:gosec // It spreads load and guards nothing.
}

// tell is true once for each thing that is told of a row of failures.
func (b *setbacks) tell(w write, what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, known := b.of[w.claim][w.what]
	if !known || s.told == what {
		return false
	}
	s.told = what
	b.put(w, s)
	return true
}

func (b *setbacks) put(w write, s setback) {
	if b.of == nil {
		b.of = map[types.NamespacedName]map[string]setback{}
	}
	if b.of[w.claim] == nil {
		b.of[w.claim] = map[string]setback{}
	}
	b.of[w.claim][w.what] = s
}

// left is how long a write that was refused still rests.
func (b *setbacks) left(w write, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of[w.claim][w.what]
	if !s.refused {
		return 0
	}
	return max(0, s.next.Sub(now))
}

// untold tells that a write fails, but not for long enough to be told: it may pass by itself.
func (b *setbacks) untold(w write) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, known := b.of[w.claim][w.what]
	return known && s.told == ""
}

// succeeded forgets the failures of a write; an action ends those of every other action.
func (b *setbacks) succeeded(w write) {
	b.mu.Lock()
	defer b.mu.Unlock()
	report := w.what == writeCondition || w.what == writeImport || w.what == readAll
	for what := range b.of[w.claim] {
		if what == w.what || !report && what != writeCondition && what != writeImport {
			delete(b.of[w.claim], what)
		}
	}
	if len(b.of[w.claim]) == 0 {
		delete(b.of, w.claim)
	}
}

// forget drops what is known of a claim that is gone.
func (b *setbacks) forget(claim types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, claim)
}
