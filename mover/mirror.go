// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"path"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/s3populator/s3populator/mover/engine/mc"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// mirror fetches everything below the prefix with one `mc mirror`, the fastest
// way mc has, and verifies each file as soon as mc has renamed it into place,
// while its pages are still in memory.
func (t *transfer) mirror(ctx context.Context) error {
	f := &follower{transfer: t, started: make(chan int, 1024), ready: make(chan int, 1024)}
	stop := f.start(ctx)
	err := t.mc.Mirror(ctx, mc.Mirror{
		Prefix:         t.plan.Base,
		Directory:      t.mirrorTarget(),
		Exclude:        t.exclusions(),
		BytesPerSecond: t.bandwidth(t.mirrorShare()),
	}, f.read)
	stop()
	return err
}

// mirrorShare is the number of equal parts of the bandwidth of which mirror has one: the streams
// that run beside it have the others.
func (t *transfer) mirrorShare() int {
	return min(t.streams(), len(t.streaming)) + 1
}

// streamShare is the number of equal parts of the bandwidth of which each stream has one.
func (t *transfer) streamShare(batches int) int {
	share := max(min(t.streams(), batches), 1)
	if t.streaming != nil {
		share++ // For mirror.
	}
	return share
}

// exclusions keep mc from what its own listing may have and ours, made before, had not: keys
// that mc cleans into another path, out of the volume even, and at the volume's root the
// directories that are not ours to fill. None of them is ever planned, see checkPath.
func (t *transfer) exclusions() []string {
	patterns := []string{"..", "../*", "*/..", "*/../*", ".", "./*", "*/.", "*/./*", "/*", "*//*"}
	if t.volume.Target == "" {
		for _, dir := range append([]string{wire.JournalDir}, plan.StorageOwn...) {
			patterns = append(patterns, dir, dir+"/*")
		}
	}
	return patterns
}

// mirrorTarget is where mc writes: the target directory, with a slash.
func (t *transfer) mirrorTarget() string {
	return path.Join(t.options.Paths.Volume, t.volume.Target) + "/"
}

// follower turns mc's lines into verified files. mc announces a file when it
// starts it and places it by a rename, so a file that had been absent is
// complete as soon as it exists.
type follower struct {
	*transfer

	started chan int // Announced by mc.
	ready   chan int // In place, to be verified.
}

// start begins to follow. The returned function is called once mc has ended
// and returns when everything it wrote is verified.
func (f *follower) start(ctx context.Context) (stop func()) {
	var workers, follow sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range f.ready {
				if ctx.Err() == nil {
					f.fetched.Add(f.plan.Entries[i].Size)
					f.check(ctx, i)
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

// read notes what mc announces and stops it for an error that no other object
// can escape.
func (f *follower) read(l mc.Line) error {
	if e := l.Err(); e != nil {
		return f.trouble(e)
	}
	if i, ok := f.announced(l); ok {
		f.started <- i
	}
	return nil
}

func (f *follower) announced(l mc.Line) (int, bool) {
	if !l.Started() {
		return 0, false
	}
	name, ok := strings.CutPrefix(l.Target, f.mirrorTarget())
	if !ok {
		return 0, false
	}
	return f.plan.Find(name)
}

// follow moves announced files to the verifiers once they are in place. A
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
					f.ready <- i // Whatever did not arrive is recorded as such.
				}
				return
			}
			if f.ledger.IsVerified(i) || f.streaming[i] {
				f.ledger.Contest(i)
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
		if at < n && f.inPlace(i) {
			f.ready <- i
			continue
		}
		kept = append(kept, i)
	}
	return kept
}

func (f *follower) inPlace(i int) bool {
	_, err := f.volume.Stat(f.plan.Entries[i].Path)
	return err == nil
}
