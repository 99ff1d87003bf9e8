// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// waits makes an attempt that is ended when it waits for copies, and tells whether it did.
func (b *bench) waits() (wire.Report, bool) {
	b.t.Helper()
	ctx, stop := context.WithCancelCause(b.t.Context())
	defer stop(nil)
	var waits atomic.Bool
	b.hears = func(line string) { // The mover goes on when this has returned.
		if strings.Contains(line, "are waited for") {
			waits.Store(true)
			stop(fault.ErrTerminated)
		}
	}
	b.options.RoundPause = time.Minute // An hour is waited for copies.
	r := b.runContext(ctx)
	b.hears, b.options.RoundPause = nil, time.Millisecond
	return r, waits.Load()
}

const copiesOfRun2 = "runs/2/.s3populator/runs/run-2/copies/"

// copyMarks are the names of the marks of copies with an end.
func (s *s3server) copyMarks(t *testing.T, end string) []string {
	t.Helper()
	return slices.DeleteFunc(s.keys(t, copiesOfRun2), func(key string) bool { return !strings.HasSuffix(key, end) })
}

// aCopyIsLeft is the second attempt of an export whose first one has asked for a copy, and has got no answer that says
// what became of it. It is to send another file instead.
func aCopyIsLeft(t *testing.T, s *s3server, also func(w http.ResponseWriter)) *bench {
	t.Helper()
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if also != nil {
			also(w)
		}
		return isCopy(r, "") && s3Error(w, http.StatusServiceUnavailable, "SlowDown")
	})
	b := copiedAgain(t, s, p, []byte("before"))
	if r := b.run(); r.Reason != wire.Throttled {
		t.Fatalf("the report is %+v, want %s", r, wire.Throttled)
	}
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), []byte("changed"), 0o600))
	b.request.Attempt = 2
	return b
}

// mustWait makes an attempt that has to wait for copies, and is ended as it does.
func (b *bench) mustWait() {
	b.t.Helper()
	if r, waits := b.waits(); !waits || r.Reason != wire.Interrupted {
		b.t.Fatalf("the report is %+v, want one of a mover that has waited for copies: %t", r, waits)
	}
}

// mustNotWait makes an attempt that has no copies to wait for, and is done.
func (b *bench) mustNotWait() {
	b.t.Helper()
	r, waits := b.waits()
	b.mustBeDone(r)
	if waits {
		b.t.Error("it has waited for copies")
	}
}

// Attempts that end sooner than copies may still be made wait for them together: what one has waited, the next one need
// not, by the clock of S3.
func TestAttemptsWaitForCopiesTogether(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := aCopyIsLeft(t, s, nil)
		b.mustWait()
		marks := s.copyMarks(t, ".ended.json")
		if len(marks) != 1 {
			t.Fatalf("marked as ended are %q, want one mover", marks)
		}
		since, text := s.age(t, copiesOfRun2+marks[0]), s.object(t, copiesOfRun2+marks[0])
		b.request.Attempt++
		b.mustWait()
		if again := s.object(t, copiesOfRun2+marks[0]); again != text || s.age(t, copiesOfRun2+marks[0]) < since {
			t.Errorf("the mark was written again: %s, before it was %s", again, text)
		}
		const pause = 50 * time.Millisecond // For copies, 60 of these are waited.
		waitFor(t, time.Minute, "the mark is old enough", func() bool {
			return s.age(t, copiesOfRun2+marks[0]) > 2*60*pause+time.Second
		})
		b.hears = func(line string) {
			if strings.Contains(line, "are waited for") {
				t.Error("it waits once more: " + line)
			}
		}
		b.options.RoundPause = pause
		b.request.Attempt++
		if r := b.mustBeDone(b.run()); r.OtherObjects != 0 {
			t.Errorf("the report is %+v, but there is nothing else", r)
		}
		b.mustBeListed(s, []byte("changed"))
		if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/2/.s3populator/")); diff != "" {
			t.Errorf("left are (-want +got):\n%s", diff)
		}
	})
}

// age is how old an object is, by what the server says of both.
func (s *s3server) age(t *testing.T, key string) time.Duration {
	t.Helper()
	core := minio.Core{Client: s.client}
	body, info, header, err := core.GetObject(t.Context(), testBucket, key, minio.GetObjectOptions{})
	mustDo(t, err)
	mustDo(t, body.Close())
	now, err := http.ParseTime(header.Get("Date"))
	mustDo(t, err)
	return now.Sub(info.LastModified)
}

// An attempt after one that has asked for no copy waits for none.
func TestNobodyWaitsForCopiesThatNobodyAskedFor(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var isRefused atomic.Bool
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && keyOf(r) == "runs/2/f" && isRefused.Load() &&
				s3Error(w, http.StatusForbidden, "AccessDenied")
		})
		b := copiedAgain(t, s, p, []byte("before"))
		mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), []byte("changed"), 0o600))
		isRefused.Store(true)
		if r := b.run(); r.Reason != wire.AccessDenied {
			t.Fatalf("the report is %+v, want %s", r, wire.AccessDenied)
		}
		isRefused.Store(false)
		b.request.Attempt = 2
		b.mustNotWait()
		b.mustBeListed(s, []byte("changed"))
	})
}

// What S3 says of the time is not believed alone, and a mark that is none of ours says nothing.
func TestAMarkThatIsNotOldEnough(t *testing.T) {
	var isAhead atomic.Bool
	ahead := func(w http.ResponseWriter) {
		if isAhead.Load() {
			w.Header().Set("Date", time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))
		}
	}
	for name, change := range map[string]func(t *testing.T, s *s3server, key string){
		"by a clock that is wrong": func(*testing.T, *s3server, string) {},
		"and is of somebody else":  func(t *testing.T, s *s3server, key string) { s.put(t, key, []byte("{}")) },
		"and is broken":            func(t *testing.T, s *s3server, key string) { s.put(t, key, []byte("{")) },
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) {
				isAhead.Store(false)
				b := aCopyIsLeft(t, s, ahead)
				b.mustWait()
				for _, mark := range s.copyMarks(t, ".ended.json") {
					change(t, s, copiesOfRun2+mark)
				}
				isAhead.Store(true)
				b.request.Attempt++
				b.mustWait()
			})
		})
	}
}

// A run that an earlier version has begun has copies without a mark.
func TestARunThatLeavesNoMarksOfCopies(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := aCopyIsLeft(t, s, nil)
		for _, mark := range s.copyMarks(t, "") {
			mustDo(t, s.client.RemoveObject(t.Context(), testBucket, copiesOfRun2+mark, minio.RemoveObjectOptions{}))
		}
		s.put(t, "runs/2/.s3populator/runs/run-2/begun.json", []byte(`{"run":"run-2","begun":"2026-11-25T03:00:00Z"}`))
		b.mustWait()
	})
}

// A mover whose node was lost may go on when the next attempt has begun. It asks for no copy any more: nobody waits for
// those that are asked for from now on.
func TestAMoverThatIsTakenForEndedCopiesNoMore(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := copiesNoMore(t, s, func(b *bench) {
			next := &bench{t: t, paths: b.paths, request: b.request, options: b.options}
			next.request.Attempt, next.request.Source.Endpoint = 2, s.endpoint
			if r, waits := next.waits(); !waits || r.Reason != wire.Interrupted || r.CopiedObjects == 0 {
				t.Errorf("the report is %+v, want one of a mover that has waited for copies: %t", r, waits)
			}
		})
		b.request.Attempt = 3
		b.mustBeDone(b.run())
	})
}

// Whoever came after such a mover may have completed the run meanwhile, and removed all marks of it.
func TestAMoverWhoseMarksAreGoneCopiesNoMore(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		copiesNoMore(t, s, func(b *bench) {
			for _, mark := range s.copyMarks(t, "") {
				mustDo(t, s.client.RemoveObject(t.Context(), testBucket, copiesOfRun2+mark, minio.RemoveObjectOptions{}))
			}
			<-time.After(2 * b.options.RoundPause) // It looks once in a pause.
		})
	})
}

// copiesNoMore fails the test unless a mover ends after its first copy, because of what happens meanwhile.
func copiesNoMore(t *testing.T, s *s3server, meanwhile func(b *bench)) (b *bench) {
	t.Helper()
	var once sync.Once
	var copies atomic.Int64
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if isCopy(r, "") {
			copies.Add(1)
			once.Do(func() { meanwhile(b) })
		}
		return false
	})
	b = copiedInShards(t, s, p)
	b.request.Transfer.Parallelism = 1
	if r := b.run(); r.Reason != wire.VerificationFailed || copies.Load() != 1 {
		t.Errorf("the report is %+v, want %s after one copy; there were %d", r, wire.VerificationFailed, copies.Load())
	}
	return b
}

// A run that is given up leaves no mark.
func TestMarksOfCopiesGoWithTheRun(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := aCopyIsLeft(t, s, nil)
		b.mustWait()
		if marks := s.copyMarks(t, ""); len(marks) != 2 {
			t.Errorf("there are the marks %q, want that a mover has asked, and has ended", marks)
		}
		b.request.Operation, b.request.Volume = wire.Abort, wire.Volume{}
		b.mustBeDone(b.run())
		if left := s.keys(t, "runs/2/.s3populator/"); len(left) > 0 {
			t.Errorf("left are %q", left)
		}
	})
}
