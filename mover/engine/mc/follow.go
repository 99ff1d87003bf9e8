// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Watch is told what a mirror does, and asked about the files that it writes, by the number that
// Find gives them. All but Find and Trouble may be called by several goroutines.
type Watch interface {
	// Find tells the number of a file by its path below the directory; there may be none.
	Find(name string) (int, bool)
	// IsOurs reports whether the file was there, or is written by somebody else: mc replaces it.
	IsOurs(i int) bool
	// Contest is called of a file that is ours.
	Contest(i int)
	// InPlace reports whether there is a file under the path.
	InPlace(i int) bool
	// Arrived is called once for each other file that mc has begun, when it is in place, or when mc
	// has ended and it is not.
	Arrived(ctx context.Context, i int)
	// Trouble is told what mc says of one object. An error that it returns ends mc.
	Trouble(err error) error
}

// follower turns mc's lines into files that arrived. mc announces a file when it
// starts it and places it by a rename, so a file that had been absent is
// complete as soon as it exists.
type follower struct {
	Watch

	directory string
	started   chan int // Announced by mc.
	ready     chan int // In place.
}

// start begins to follow. The returned function is called once mc has ended
// and returns when all that it wrote was told of.
func (f *follower) start(ctx context.Context) (stop func()) {
	var workers, follow sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range f.ready {
				if ctx.Err() == nil {
					f.Arrived(ctx, i)
				}
			}
		})
	}
	follow.Go(f.follow)
	return func() {
		close(f.started)
		follow.Wait()
		close(f.ready)
		workers.Wait()
	}
}

// read notes what mc announces.
func (f *follower) read(l line) error {
	if e := l.err(); e != nil {
		return f.Trouble(e)
	}
	if i, ok := f.announced(l); ok {
		f.started <- i
	}
	return nil
}

func (f *follower) announced(l line) (int, bool) {
	if !l.started() {
		return 0, false
	}
	name, ok := strings.CutPrefix(l.Target, f.directory)
	if !ok {
		return 0, false
	}
	return f.Find(name)
}

// follow moves announced files to the workers once they are in place. A
// worker of mc announces its next file when the last one is done, so the
// oldest are tried with every line, and all of them every now and then.
func (f *follower) follow() {
	const pause = 20 * time.Millisecond // Bounds the delay of the last files of a run.
	var waiting []int
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case i, ok := <-f.started:
			if !ok {
				for _, i := range waiting {
					f.ready <- i // Whatever did not arrive is found out then.
				}
				return
			}
			if f.IsOurs(i) {
				f.Contest(i)
				continue
			}
			waiting = f.promote(append(waiting, i), 2)
		case <-tick.C:
			waiting = f.promote(waiting, len(waiting))
		}
	}
}

// promote hands over the files among the first n that are in place.
func (f *follower) promote(waiting []int, n int) []int {
	kept := waiting[:0]
	for at, i := range waiting {
		if at < n && f.InPlace(i) {
			f.ready <- i
			continue
		}
		kept = append(kept, i)
	}
	return kept
}
