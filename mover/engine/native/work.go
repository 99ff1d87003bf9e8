// SPDX-License-Identifier: Apache-2.0

package native

import (
	"iter"
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
)

// work hands out what is left to do: small objects whole, large ones in ranges.
type work struct {
	mu        sync.Mutex
	nextSmall func() (engine.Task, bool)
	nextLarge func() (engine.Task, bool)
	smallDone bool
	largeDone bool
	open      []*large // In progress, with ranges that nobody fetches yet.
	inLarge   int      // Workers that fetch ranges.
	opened    int      // Large objects that are not ended.
	// idle workers wait here for a range to come back or for a large object to end.
	changed *sync.Cond
	stopped bool
}

// item is a small object, or a range of a large one, or a large one to be opened.
type item struct {
	task  engine.Task
	large *large
	part  piece
	begin bool
}

func newWork(tasks engine.Tasks, isLarge func(engine.Task) bool) (w *work, stop func()) {
	w = &work{}
	w.changed = sync.NewCond(&w.mu)
	only := func(wanted bool) engine.Tasks {
		return func(yield func(engine.Task) bool) {
			for t := range tasks {
				if isLarge(t) == wanted && !yield(t) {
					return
				}
			}
		}
	}
	var stopSmall, stopLarge func()
	w.nextSmall, stopSmall = iter.Pull(only(false))
	w.nextLarge, stopLarge = iter.Pull(only(true))
	return w, func() { stopSmall(); stopLarge() }
}

// newSmallWork looks for no large object, which could be behind tasks that nobody knows yet.
func newSmallWork(tasks engine.Tasks) (w *work, stop func()) {
	w = &work{largeDone: true}
	w.changed = sync.NewCond(&w.mu)
	w.nextSmall, stop = iter.Pull(tasks)
	return w, stop
}

// take waits for something to do. It returns false when there is nothing and never will be.
// Large objects get half of the workers while there are small ones.
func (w *work) take(limit int) (item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopped {
		share := min(limit, w.mostInLarge())
		if !w.smallDone {
			share = max(share/2, 1)
		}
		if w.inLarge < share {
			if i, ok := w.takeLarge(); ok {
				return i, true
			}
		}
		if !w.smallDone {
			if t, ok := w.nextSmall(); ok {
				return item{task: t}, true
			}
			w.smallDone = true
			w.changed.Broadcast()
			continue
		}
		if w.largeDone && w.opened == 0 {
			return item{}, false
		}
		w.changed.Wait()
	}
	return item{}, false
}

// mostInLarge is how many workers there may be in large objects.
func (w *work) mostInLarge() int {
	for _, l := range w.open {
		if hasMD5Lanes && inPieces(l.sum.algorithm, l.sum.partSize) {
			return partConnections
		}
	}
	return largeConnections
}

// takeLarge opens objects until several are in progress, then takes a range of the one that
// has the fewest connections.
func (w *work) takeLarge() (item, bool) {
	if !w.largeDone && w.opened < largeObjects {
		if t, ok := w.nextLarge(); ok {
			w.opened++
			w.inLarge++
			return item{task: t, begin: true}, true
		}
		w.largeDone = true
		w.changed.Broadcast()
	}
	var least *large
	for _, l := range w.open {
		if len(l.todo) > 0 && (least == nil || l.busy < least.busy) {
			least = l
		}
	}
	if least == nil {
		return item{}, false
	}
	part := least.todo[0]
	least.todo = least.todo[1:]
	least.busy++
	w.inLarge++
	return item{large: least, part: part}, true
}

// begun makes the ranges of an object available; nil when it could not be opened.
func (w *work) begun(l *large) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inLarge--
	if l == nil {
		w.opened--
	} else {
		w.open = append(w.open, l)
	}
	w.changed.Broadcast()
}

// fetched ends a range. It reports whether the object has no more of them, which is true
// once: the caller then ends the object.
func (w *work) fetched(l *large, failed bool) (last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inLarge--
	l.busy--
	if failed {
		l.todo = nil
	}
	last = l.busy == 0 && len(l.todo) == 0
	if last {
		for i, other := range w.open {
			if other == l {
				w.open = append(w.open[:i], w.open[i+1:]...)
				break
			}
		}
	}
	w.changed.Broadcast()
	return last
}

// ended makes room for another large object.
func (w *work) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened--
	w.changed.Broadcast()
}

// stop makes take return false.
func (w *work) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.changed.Broadcast()
}

// abandoned are the large objects that nobody works on when everything has ended.
func (w *work) abandoned() []*large {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}
