// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strings"
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/plan"
)

// feed hands out what may be fetched before all of the source is listed. The whole plan is not known
// yet, so it takes no more than certainly fits, and ends at the first thing that is not as usual.
type feed struct {
	room feedRoom

	mu     sync.Mutex
	more   *sync.Cond
	list   []plan.Entry
	next   int // Of list.
	closed bool
	last   string // The key that was listed last.
}

// feedRoom is what the volume has free, and what is listed so far takes of it.
type feedRoom struct {
	freeBytes, freeInodes int64 // 0 inodes: made on demand.
	block                 int64
	bytes, inodes         int64
	last                  string // The path that was listed last.
}

// mostEarly bounds the memory of a feed: the plan holds each of its entries a second time.
const mostEarly = 1 << 16

// take adds the next entry and tells whether all so far takes at most half of what is free: names, and what
// the file system needs for itself, are not counted. A volume that is full could not even be taken over.
func (r *feedRoom) take(e plan.Entry) bool {
	block, dirs := max(r.block, 1), newDirs(r.last, e.Path)
	r.last = e.Path
	if e.Size < 0 || e.Size > r.freeBytes/2 {
		return false
	}
	r.bytes += (e.Size+block-1)/block*block + (dirs+1)*block
	r.inodes += dirs + 1
	return r.bytes <= r.freeBytes/2 && (r.freeInodes == 0 || r.inodes <= r.freeInodes/2)
}

// newDirs is how many directories lead to a path and not to the one that was listed before it.
func newDirs(before, path string) (n int64) {
	for at, c := range []byte(path) {
		if c == '/' && !strings.HasPrefix(before, path[:at+1]) {
			n++
		}
	}
	return n
}

func newFeed(room feedRoom) *feed {
	f := &feed{room: room}
	f.more = sync.NewCond(&f.mu)
	return f
}

// add is told of every entry that is planned, in the order of the listing. Keys that do not ascend may
// come twice, and two connections must never write to one file.
func (f *feed) add(e plan.Entry) (planned int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return len(f.list)
	}
	ascends := f.last == "" || f.last < e.Key
	f.last = e.Key
	if !ascends || !f.room.take(e) || len(f.list) == mostEarly {
		f.end()
		return len(f.list)
	}
	if !e.IsDir() && e.Size < plan.LargeSize && e.ETag.Parts != plan.OpaqueETag {
		f.list = append(f.list, e)
		f.more.Signal()
	}
	return len(f.list)
}

// close ends the feed: what it has not handed out is left for later.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}

func (f *feed) end() {
	f.closed = true
	f.more.Broadcast()
}

// tasks waits for what is listed next, until the feed is closed.
func (f *feed) tasks(yield func(engine.Task) bool) {
	for {
		t, ok := f.take()
		if !ok || !yield(t) {
			return
		}
	}
}

func (f *feed) take() (engine.Task, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && f.next == len(f.list) {
		f.more.Wait()
	}
	if f.closed {
		return engine.Task{}, false
	}
	e := f.list[f.next]
	f.next++
	return engine.Task{Index: f.next - 1, Key: e.Key, Path: e.Path, ETag: e.ETag.String(), Size: e.Size}, true
}

// entry that was handed out with this index.
func (f *feed) entry(i int) plan.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list[i]
}
