// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/plan"
)

// TestFeed is a table of what is handed out before the plan is known.
func TestFeed(t *testing.T) {
	tag, opaque := plan.ETag{}, plan.ETag{Parts: plan.OpaqueETag}
	file := func(key string, size int64) plan.Entry { return plan.Entry{Key: key, Path: key, Size: size, ETag: tag} }
	for name, tt := range map[string]struct {
		room   feedRoom
		listed []plan.Entry
		want   string
		closed bool
	}{
		"files": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("a", 1), file("b", 0)},
			want:   "ab",
		},
		"directories come later": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("a/", 0), file("b", 1)},
			want:   "b",
		},
		"large objects come later": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("a", plan.LargeSize), file("b", plan.LargeSize-1)},
			want:   "b",
		},
		"objects whose entity tag says nothing come later": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{{Key: "a", Path: "a", Size: 1, ETag: opaque}, file("b", 1)},
			want:   "b",
		},
		"a key that comes twice": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("a", 1), file("a", 1), file("b", 1)},
			want:   "a",
			closed: true,
		},
		"keys that do not ascend": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("b", 1), file("a", 1), file("c", 1)},
			want:   "b",
			closed: true,
		},
		"more than half of the room": {
			room:   feedRoom{freeBytes: 4 * 4096, block: 4096},
			listed: []plan.Entry{file("a", 1), file("b", 1)},
			want:   "a",
			closed: true,
		},
		"a large object that takes half of the room": {
			room:   feedRoom{freeBytes: plan.LargeSize, block: 4096},
			listed: []plan.Entry{file("a", 1), file("b", plan.LargeSize), file("c", 1)},
			want:   "a",
			closed: true,
		},
		"more than half of the inodes": {
			room:   feedRoom{freeBytes: 1 << 30, freeInodes: 3, block: 4096},
			listed: []plan.Entry{file("a", 1), file("b", 1)},
			want:   "a",
			closed: true,
		},
		"directories that take half of the inodes": {
			room:   feedRoom{freeBytes: 1 << 30, freeInodes: 15, block: 4096},
			listed: []plan.Entry{file("a/b/c", 1), file("a/b/d", 1), file("a/e/f/", 0), file("g/h", 1)},
			want:   "a/b/ca/b/d",
			closed: true,
		},
		"directories that take half of the room": {
			room:   feedRoom{freeBytes: 13 * 4096, block: 4096},
			listed: []plan.Entry{file("a/b", 1), file("a/c", 1), file("d/e", 1)},
			want:   "a/ba/c",
			closed: true,
		},
		"a size that no object has": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("a", 1), file("b", 1<<63-1), file("c", 1)},
			want:   "a",
			closed: true,
		},
		"a size below nothing": {
			room:   feedRoom{freeBytes: 1 << 30, block: 4096},
			listed: []plan.Entry{file("a", 1), file("b", -1<<62), file("c", 1)},
			want:   "a",
			closed: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(tt.room)
			for _, e := range tt.listed {
				f.add(e)
			}
			var got strings.Builder
			for _, e := range f.list {
				got.WriteString(e.Path)
			}
			if got.String() != tt.want || f.closed != tt.closed {
				t.Errorf("handed out %q, closed %v; want %q, %v", got.String(), f.closed, tt.want, tt.closed)
			}
		})
	}
}

// TestASumOfWhateverObjectIsNotEarly: an answer that names no entity tag may be of another object, and its sum, too.
func TestASumOfWhateverObjectIsNotEarly(t *testing.T) {
	t.Parallel()
	for _, pinned := range []bool{true, false} {
		e := &early{
			progress: &progress{},
			feed:     newFeed(feedRoom{freeBytes: 1 << 20}),
			proven:   map[int]provenFile{},
		}
		e.feed.add(plan.Entry{Key: "a", Path: "a", Size: 5})
		sum := engine.Sum{Algorithm: engine.CRC64NVME}
		e.Arrived(engine.Evidence{File: engine.Identity{Size: 5}, Received: sum, Said: sum, Pinned: pinned})
		if proven := len(e.proven) > 0; proven != pinned {
			t.Errorf("the answer names the object: %v; the file is proven: %v", pinned, proven)
		}
	}
}
