// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
)

// alike is a volume whose files are all the same, and of which each sync takes a look.
type alike struct {
	refusing

	stat unix.Stat_t
	look func()
}

func (v alike) Stat(string) (unix.Stat_t, error) { return v.stat, nil }

func (v alike) Sync() error {
	v.look()
	return nil
}

// manyFiles is a ledger of so many small ones, and what a line says of each.
func manyFiles(n int) (*Ledger, func(i int) Line) {
	name := func(i int) string { return fmt.Sprintf("directory/part-%05d/file-%07d", i/1000, i) }
	l := New(&plan.Plan{Entries: plan.EntriesOf("base/", func(yield func(plan.Entry) bool) {
		for i := range n {
			if !yield(plan.Entry{Key: "base/" + name(i), Path: name(i), Size: 5}) {
				return
			}
		}
	})})
	return l, func(i int) Line {
		return Line{Path: name(i), Size: 5, ModTime: 7, By: 1, ETag: plan.ETag{}.String()}
	}
}

// TestACheckpointTakesLittleMemory: while a slow device syncs, hundreds of thousands of files may be verified, and a
// mover that is killed for its memory before they are noted would never get any further.
func TestACheckpointTakesLittleMemory(t *testing.T) {
	const files, most = 50_000, 24 // Bytes per file, beside the ledger.
	_, _, j := ownVolume(t)
	l, line := manyFiles(files)
	v := alike{stat: unix.Stat_t{Ino: 1, Size: 5, Mtim: unix.Timespec{Nsec: 7}}}
	for i := range files {
		l.Verified(i, 1, plan.IdentityOf(&v.stat), false)
	}
	before, took := inUse(), int64(0)
	v.look = func() { took = inUse() - before }
	if err := (&Checkpointer{Volume: v, Ledger: l, Journal: j, Progressed: func() {}}).Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if got := took / files; got > most {
		t.Errorf("while it syncs it keeps %d bytes per file, want %d at most", got, most)
	}
	noted := 0
	err := j.Replay(func(got Line) {
		if noted < files && got != line(noted) {
			t.Fatalf("line %d is %+v, want %+v", noted, got, line(noted))
		}
		noted++
	})
	if err != nil || noted != files {
		t.Errorf("%d files are noted (%v), want %d", noted, err, files)
	}
	runtime.KeepAlive(l)
}

// TestLinesOfManyFiles are made some at a time, each once and in their order, until nobody wants more.
func TestLinesOfManyFiles(t *testing.T) {
	for _, n := range []int{0, 1, linesAtOnce, 2*linesAtOnce + 1} {
		l, line := manyFiles(n)
		var files []verifiedFile
		var want, got []Line
		for i := range n {
			files = append(files, verifiedFile{modTime: 7, entry: int32(i), by: 1})
			want = append(want, line(i))
		}
		err := l.eachLines(files, func(lines []Line) error {
			if len(lines) > linesAtOnce {
				t.Errorf("%d lines are made at once", len(lines))
			}
			got = append(got, lines...)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d lines are made of %d files (%v)", len(got), n, err)
		}
		visits, full := 0, errors.New("no room")
		err = l.eachLines(files, func([]Line) error { visits++; return full })
		if n > 0 && (!errors.Is(err, full) || visits != 1) {
			t.Errorf("of %d files, and no room for lines, it goes on %d times (%v)", n, visits, err)
		}
	}
}

// inUse is what is reachable on the heap, in bytes.
func inUse() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
