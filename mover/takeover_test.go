// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/restore"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestHeader(t *testing.T) {
	long := strings.Repeat("a", 64)
	h := plan.Header{Claim: long, Pod: long, Request: plan.SourceIdentity(wire.Request{})}
	if len(h.Line()) > plan.HeaderSize {
		t.Errorf("the longest header has %d bytes, which is more than a sector", len(h.Line()))
	}
	if got, ok := plan.ParseHeader(append([]byte(h.Line()), "more"...)); !ok || got != h {
		t.Errorf("%q was read as %+v", h.Line(), got)
	}
	if got, ok := plan.ParseHeader(h.Sector()); !ok || got != h {
		t.Errorf("the sector was read as %+v", got)
	}
	for name, text := range map[string]string{
		"nothing":                         "",
		"zeroes":                          strings.Repeat("\x00", 512),
		"an older format":                 "s3populator journal 1 " + h.Request + "\n",
		"torn":                            h.Line()[:len(h.Line())-1],
		"half":                            h.Line()[:40],
		"another claim, with the old sum": strings.Replace(h.Line(), long, strings.Repeat("b", 64), 1),
		"one field more":                  strings.Replace(h.Line(), " pod ", " x pod ", 1),
	} {
		if got, ok := plan.ParseHeader([]byte(text)); ok {
			t.Errorf("%s: %q was taken for a header: %+v", name, text, got)
		}
	}
}

// pair is a mover that has written to a volume, and what another one needs to take it over.
func pair(t *testing.T) (dir string, old *transfer, next func() *ledger.Journal) {
	t.Helper()
	v, _ := journalVolume(t)
	dir = v.Root.Name()
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 5}, listed{key: "b", size: 5})
	mustDo(t, err)
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "old-pod", Request: "r"})
	mustDo(t, err)
	t.Cleanup(j.Close)
	old = transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
	write(t, dir+"/a", "hello")
	write(t, dir+"/leftover", "x")
	mustDo(t, os.Chmod(dir+"/leftover", 0o400)) // As one that was restored.
	return dir, old, func() *ledger.Journal {
		v, err := volume.Open(dir, "")
		mustDo(t, err)
		t.Cleanup(v.Close)
		j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "new-pod", Request: "r"})
		mustDo(t, err)
		t.Cleanup(j.Close)
		return j
	}
}

// unseenJournal puts another file in the place of a journal whose mover reads the old words under that name, as a
// client of NFS does for a while.
func unseenJournal(t *testing.T, dir string) {
	t.Helper()
	words, err := os.ReadFile(filepath.Join(dir, ledger.JournalName))
	mustDo(t, err)
	write(t, filepath.Join(dir, ledger.JournalNext), string(words))
	mustDo(t, os.Rename(filepath.Join(dir, ledger.JournalNext), filepath.Join(dir, ledger.JournalName)))
}

// TestAFencedMoverWritesNoMore: a mover that has lost its journal ends before its next
// checkpoint and before it removes anything.
func TestAFencedMoverWritesNoMore(t *testing.T) {
	for how, lose := range map[string]func(t *testing.T, dir string, next func() *ledger.Journal){
		"taken over": func(_ *testing.T, _ string, next func() *ledger.Journal) { next() },
		"its journal is gone": func(t *testing.T, dir string, _ func() *ledger.Journal) {
			mustDo(t, os.RemoveAll(filepath.Join(dir, wire.JournalDir)))
		},
		"its journal is no more": func(t *testing.T, dir string, _ func() *ledger.Journal) {
			write(t, filepath.Join(dir, ledger.JournalName), "x\n")
		},
		"its journal is another file, of the same words": func(t *testing.T, dir string, _ func() *ledger.Journal) {
			unseenJournal(t, dir)
		},
	} {
		for what, act := range map[string]func(ctx context.Context, t *transfer) error{
			"a checkpoint": func(_ context.Context, t *transfer) error {
				t.ledger.Verified(0, proof.ByMD5, plan.Identity{}, false)
				return t.checkpointer().Checkpoint()
			},
			"a checkpoint with nothing to say": func(_ context.Context, t *transfer) error {
				return t.checkpointer().Checkpoint()
			},
			"a resume":                func(ctx context.Context, t *transfer) error { return t.resume(ctx) },
			"the next round":          func(ctx context.Context, t *transfer) error { return t.prepareRound(ctx, 2) },
			"a small file":            creates(5),
			"a file that is laid out": creates(preallocateFrom),
			"a large file":            creates(native.LargeSize),
			"a large file that is gone on with": func(_ context.Context, t *transfer) error {
				present := []engine.Range{{Length: 1}}
				_, err := (&nativeTarget{volume: t.volume, journal: t.journal}).Create(
					engine.Task{Path: "a", Size: native.LargeSize, Present: present})
				return err
			},
			"the sizes of large files": func(_ context.Context, t *transfer) error { return t.reserve([]int{0}) },
			"a file that mc streams": func(_ context.Context, t *transfer) error {
				_, err := t.write(0, proof.NewDigester(proof.Expectation{}), strings.NewReader("HELLO"), 0)
				return err
			},
			"what was restored before": func(ctx context.Context, t *transfer) error {
				t.attributes = restore.New(t.volume, t.plan, plan.Filter{})
				return t.reopen(ctx)
			},
			"what another restore has left": func(ctx context.Context, t *transfer) error { return t.fillAnew(ctx) },
			"the mark of a restore": func(_ context.Context, t *transfer) error {
				t.attributes = restore.New(t.volume, t.plan, plan.Filter{})
				return t.beginRestore()
			},
			"what is to be restored": func(ctx context.Context, t *transfer) error {
				t.attributes = restore.New(t.volume, t.plan, plan.Filter{})
				t.attributes.Add(manifest.Entry{Path: "dir", Type: manifest.Directory})
				return t.restoreAttributes(ctx)
			},
			"the mode of all files": func(ctx context.Context, t *transfer) error {
				t.request.Files = wire.Files{Mode: new(uint32(0o600))}
				return t.setOwners(ctx)
			},
			"the last removal": func(ctx context.Context, t *transfer) error { return t.complete(ctx) },
		} {
			t.Run(how+", then "+what, func(t *testing.T) {
				dir, old, next := pair(t)
				lose(t, dir, next)
				before := snapshot(t, dir)
				err := act(t.Context(), old)
				mustFail(t, err, wire.Fenced, "has taken the volume over")
				if snapshot(t, dir) != before {
					t.Error("the volume was changed")
				}
			})
		}
	}
}

// creates makes a file in the place of one that is there.
func creates(size int64) func(context.Context, *transfer) error {
	return func(_ context.Context, t *transfer) error {
		f, err := (&nativeTarget{volume: t.volume, journal: t.journal}).Create(engine.Task{Path: "a", Size: size})
		if err == nil {
			f.Abandon()
		}
		return err
	}
}

// TestWhatIsInTheWayIsReplaced: a mover that owns the volume makes a new file. Whoever still writes to the one that was
// there, as a mover that was superseded, does not write to it.
func TestWhatIsInTheWayIsReplaced(t *testing.T) {
	for _, size := range []int64{5, preallocateFrom, native.LargeSize} {
		dir, owner, _ := pair(t)
		old, err := os.OpenFile(filepath.Join(dir, "a"), os.O_WRONLY, 0)
		mustDo(t, err)
		f, err := (&nativeTarget{volume: owner.volume, journal: owner.journal}).Create(engine.Task{Path: "a", Size: size})
		mustDo(t, err)
		_, err = f.WriteAt([]byte("right"), 0)
		mustDo(t, err)
		_, err = old.WriteString("wrong")
		mustDo(t, errors.Join(err, old.Close()))
		f.Abandon()
		got, err := os.ReadFile(filepath.Join(dir, "a"))
		if err != nil || string(got[:5]) != "right" {
			t.Errorf("the file of %d bytes begins with %q (%v)", size, got[:min(len(got), 5)], err)
		}
	}
}

func TestATakeOverKeepsWhatIsNoted(t *testing.T) {
	_, old, next := pair(t)
	noted := ledger.Line{Path: "a", Size: 5, ModTime: 7, By: proof.ByMD5, ETag: emptyMD5}
	mustDo(t, old.journal.Add([]ledger.Line{noted}))
	j := next()
	// The old mover still has its file open, which is another one now.
	mustDo(t, old.journal.Add([]ledger.Line{{Path: "b", Size: 5, By: proof.ByMD5}}))
	var got []ledger.Line
	mustDo(t, j.Replay(func(l ledger.Line) { got = append(got, l) }))
	if len(got) != 1 || got[0] != noted {
		t.Errorf("the new journal holds %+v, want the line of before alone", got)
	}
	mustDo(t, j.Owned())
}

// TestALineThatDoesNotEnd: a journal is read in bounded memory.
func TestALineThatDoesNotEnd(t *testing.T) {
	v, file := journalVolume(t)
	h := plan.Header{Claim: testClaim, Pod: "this-pod", Request: "r"}
	l := ledger.Line{Path: "a", Size: 5, ModTime: 7, By: proof.ByMD5, ETag: emptyMD5}
	write(t, file, h.Line()+strings.Repeat("x", 64<<20)+string(l.Line())+string(l.Line()))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, got := read(t, v, "r")
	runtime.ReadMemStats(&after)
	if len(got) != 1 || got[0] != l {
		t.Errorf("read %d lines, want the one that is a line", len(got))
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes were allocated for a line of 64 MiB", n)
	}
}

// TestAFencedMoverListsNoMore: what comes before the first object is guarded, too.
func TestAFencedMoverListsNoMore(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	var b *bench
	taken := make(chan struct{})
	isTaken := sync.OnceFunc(func() { close(taken) })
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if !r.URL.Query().Has("list-type") {
			return false
		}
		takenOver(t, b.paths.Volume)
		isTaken()
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
			t.Error("the listing was not given up")
		}
		return false
	})
	b = newBench(t, p.URL)
	b.options.CheckpointEvery = 20 * time.Millisecond
	if r := b.run(); r.Reason != wire.Fenced || !r.Class.Again() {
		t.Fatalf("report is %+v, want %s", r, wire.Fenced)
	}
	<-taken // The mover may end before who takes the volume over is done, and the volume goes with the test.
}

// TestAMoverOfACutOffNode is fenced in the middle of a transfer.
func TestAMoverOfACutOffNode(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		small(t, s, 100)
		p, full, release := throttle(t, s, 60)
		b := newBench(t, p.URL)
		b.options.CheckpointEvery = 20 * time.Millisecond
		done := make(chan wire.Report)
		go func() { done <- b.run() }()
		waitFor(t, time.Minute, "some of the objects have arrived", full.Load)
		v, err := volume.Open(b.paths.Volume, "")
		mustDo(t, err)
		defer v.Close()
		j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "new-pod", Request: "r"})
		mustDo(t, err)
		defer j.Close()
		var r wire.Report
		select {
		case r = <-done: // The next checkpoint ended it, although S3 still holds its answers.
		case <-time.After(time.Minute):
			release()
			r = <-done
			t.Error("the mover went on")
		}
		if r.Reason != wire.Fenced || !r.Class.Again() || !strings.Contains(r.Message, "new-pod") || r.Shared {
			t.Errorf("report is %+v, want %s", r, wire.Fenced)
		}
		mustDo(t, j.Owned())
		if left, _ := os.ReadDir(b.paths.Volume); len(left) < 2 {
			t.Errorf("the fenced mover removed files: %v are left", left)
		}
	})
}

// TestAMoverWhoseVolumeAnotherClaimHasToo says so when its journal is gone or another claim's, so that the manager
// does not take what is on the volume for its own.
func TestAMoverWhoseVolumeAnotherClaimHasToo(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	for name, lose := range map[string]func(t *testing.T, dir string){
		"its journal is gone": func(t *testing.T, dir string) {
			mustDo(t, os.RemoveAll(filepath.Join(dir, wire.JournalDir)))
		},
		"its journal is no more": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ledger.JournalName), "x\n")
		},
		"its journal is another claim's":             func(t *testing.T, dir string) { journalOf(t, dir, "another-claim") },
		"its journal is another file, as yet unseen": unseenJournal,
	} {
		t.Run(name, func(t *testing.T) {
			var b *bench
			p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && keyOf(r) == "a" {
					lose(t, b.paths.Volume)
				}
				return false
			})
			b = newBench(t, p.URL)
			if r := b.run(); r.Reason != wire.Fenced || !r.Began || !r.Shared {
				t.Errorf("report is %+v, want %s of a mover that began, and that another claim has the volume", r, wire.Fenced)
			}
		})
	}
}

// What was verified for another request, such as one that compared sizes only, is compared again.
func TestAnotherRequestInheritsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		claim, request string
		lines          int
	}{
		"the same request": {testClaim, "r", 1},
		"another request":  {testClaim, "stricter", 0},
		"another claim":    {"another", "r", 0},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			old, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "old-pod", Request: "r"})
			mustDo(t, err)
			defer old.Close()
			mustDo(t, old.Add([]ledger.Line{{Path: "a", Size: 5, ModTime: 1, By: proof.BySize, ETag: "e"}}))
			next, err := ledger.TakeOver(v.Root, plan.Header{Claim: c.claim, Pod: "new-pod", Request: c.request})
			mustDo(t, err)
			defer next.Close()
			lines := 0
			mustDo(t, next.Replay(func(ledger.Line) { lines++ }))
			if lines != c.lines {
				t.Errorf("%d lines were inherited, want %d", lines, c.lines)
			}
		})
	}
}
