// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// copiedAgain is an export of one file that a run before has exported to the same server, below a prefix of its own.
func copiedAgain(t *testing.T, s *s3server, p *proxy, text []byte) *bench {
	t.Helper()
	b := newExport(t, s.endpoint)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), text, 0o600))
	b.settle()
	b.mustBeDone(b.run())
	b.request.Source.Endpoint, b.request.Source.Prefix = p.URL, "runs/2/"
	b.request.Export.Run, b.request.Export.CopyFrom = "run-2", "runs/1/"
	return b
}

// isCopy tells a copy of the file or of a part of it.
func isCopy(r *http.Request, part string) bool {
	return r.Header.Get("X-Amz-Copy-Source") != "" && r.URL.Query().Get("partNumber") == part
}

// mustBeListed fails the test unless the manifest lists the object that is there.
func (b *bench) mustBeListed(s *s3server, text []byte) {
	b.t.Helper()
	info, err := s.client.StatObject(b.t.Context(), testBucket, "runs/2/f", minio.StatObjectOptions{})
	mustDo(b.t, err)
	if m := s.object(b.t, "runs/2/"+manifest.Key); !strings.Contains(m, info.ETag) {
		b.t.Errorf("%s is not the object that is complete:\n%s", info.ETag, m)
	}
	if s.object(b.t, "runs/2/f") != string(text) {
		b.t.Error("the object is not the file")
	}
	if got := s.uploads(b.t); len(got) > 0 {
		b.t.Errorf("there are open uploads of %q", got)
	}
}

// mustSendChanged makes the second attempt with another file, which it sends, and asks for no copy.
func (b *bench) mustSendChanged(s *s3server, changed []byte, copies *atomic.Int64) {
	b.t.Helper()
	before := copies.Load()
	mustDo(b.t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), changed, 0o600))
	b.request.Attempt = 2
	if r := b.mustBeDone(b.run()); r.SentObjects != 1 || copies.Load() != before {
		b.t.Errorf("the report is %+v, after %d copies", r, copies.Load())
	}
	b.mustBeListed(s, changed)
}

// A copy that S3 has given no answer to may still be made, when the export is complete: nothing is sent to its key in
// that attempt, and nothing is copied in the next one.
func TestACopyThatNobodyWaitedFor(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var late atomic.Pointer[http.Request]
		var copies atomic.Int64
		var once sync.Once
		arrive := func() { once.Do(func() { arrives(t, s, late.Load()) }) }
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if isCopy(r, "") {
				copies.Add(1)
				late.CompareAndSwap(nil, kept(t, r))
				panic(http.ErrAbortHandler)
			}
			if keyOf(r) == "runs/2/"+manifest.Key && r.Method == http.MethodPut {
				arrive()
			}
			return false
		})
		b := copiedAgain(t, s, p, content(1, 17<<20)) // In parts, so that a copy has another entity tag.
		r := b.run()
		if r.Reason != wire.EndpointUnreachable || r.Class != wire.RetryUncounted || r.SentObjects != 0 {
			t.Errorf("the report is %+v, want %s, and nothing that was sent", r, wire.EndpointUnreachable)
		}
		arrive()
		b.mustSendChanged(s, content(2, 17<<20), &copies)
	})
}

// A copy that S3 has given no answer to may still be made, whatever S3 says when it is asked again.
func TestACopyThatIsRefusedOnceItIsLost(t *testing.T) {
	for status, code := range map[int]string{
		http.StatusNotFound: "NoSuchKey", http.StatusConflict: "OperationAborted", http.StatusForbidden: "AccessDenied",
	} {
		t.Run(code, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) {
				var late atomic.Pointer[http.Request]
				var copies atomic.Int64
				p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
					if !isCopy(r, "") {
						return false
					}
					if copies.Add(1) == 1 {
						late.Store(kept(t, r))
						panic(http.ErrAbortHandler)
					}
					return s3Error(w, status, code)
				})
				b := copiedAgain(t, s, p, []byte("before"))
				if r := b.run(); r.Class != wire.RetryUncounted || r.SentObjects != 0 || copies.Load() != 2 {
					t.Fatalf("the report is %+v after %d copies, want nothing that was sent", r, copies.Load())
				}
				arrives(t, s, late.Load())
				changed := []byte("changed")
				mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), changed, 0o600))
				b.request.Attempt = 2
				if r := b.mustBeDone(b.run()); r.SentObjects != 1 || copies.Load() != 2 {
					t.Errorf("the report is %+v, after %d copies", r, copies.Load())
				}
				b.mustBeListed(s, changed)
			})
		})
	}
}

// A copy may be made although S3 has refused it for the time being, or nobody was there any more for the answer: the
// next attempt waits for it before it proves what it has sent instead.
func TestACopyThatIsMadeAfterItsAttempt(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var late atomic.Pointer[http.Request]
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if !isCopy(r, "") {
				return false
			}
			late.CompareAndSwap(nil, kept(t, r))
			return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		})
		b := copiedAgain(t, s, p, []byte("before"))
		if r := b.run(); r.Reason != wire.Throttled || r.SentObjects != 0 {
			t.Fatalf("the report is %+v, want %s, and nothing that was sent", r, wire.Throttled)
		}
		changed := []byte("changed")
		mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), changed, 0o600))
		var arrive sync.Once
		isArrived := false
		b.hears = func(line string) { // The mover goes on when this has returned.
			if strings.Contains(line, "are waited for") {
				arrive.Do(func() { arrives(t, s, late.Load()); isArrived = true })
			}
		}
		b.options.RoundPause, b.request.Attempt = 150*time.Millisecond, 2
		began, least := time.Now(), 60*b.options.RoundPause
		if r := b.run(); r.SentObjects != 1 || !isArrived || r.Reason != wire.VerificationFailed {
			t.Errorf("the report is %+v, want one object sent and %s; the copy has come: %t",
				r, wire.VerificationFailed, isArrived)
		}
		if took := time.Since(began); took < least {
			t.Errorf("the attempt took %s, want %s at least", took, least)
		}
		b.options.RoundPause, b.request.Attempt = time.Millisecond, 3
		b.mustBeDone(b.run())
		b.mustBeListed(s, changed)
	})
}

// A part that arrives late finds no upload.
func TestAPartThatNobodyWaitedFor(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var late atomic.Pointer[http.Request]
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if isCopy(r, "2") {
				late.CompareAndSwap(nil, kept(t, r))
				panic(http.ErrAbortHandler)
			}
			return false
		})
		text := content(1, 80<<20)
		b := copiedAgain(t, s, p, text)
		if r := b.mustBeDone(b.run()); r.SentObjects != 1 || r.CopiedObjects != 0 {
			t.Errorf("the report is %+v, want an object that was sent", r)
		}
		if late.Load() == nil {
			t.Fatal("no part was copied, so nothing was shown")
		}
		if status := arrives(t, s, late.Load()); status == http.StatusOK {
			t.Error("the late part was taken")
		}
		b.mustBeListed(s, text)
	})
}

// A large object is copied in parts, each of the object that the last manifest lists. What an attempt has copied, the
// next one need not.
func TestLargeObjectsAreCopiedInParts(t *testing.T) {
	for name, onExisting := range map[string]string{"whatever is there": wire.SkipIdentical, "to nothing": wire.Fail} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { copiedInParts(t, s, onExisting) })
		})
	}
}

func copiedInParts(t *testing.T, s *s3server, onExisting string) {
	var mu sync.Mutex
	var parts []string
	fails := true
	var p *proxy
	p = startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Copy-Source") == "" {
			return false
		}
		number := r.URL.Query().Get("partNumber")
		if number == "5" { // The first part that fails ends all others.
			waitFor(t, time.Minute, "the others are asked for, and one of them is stored", func() bool {
				mu.Lock()
				asked := len(parts)
				mu.Unlock()
				isStored := func(part string) bool { return p.hasStored("runs/2/f", part) }
				return asked >= 4 && slices.ContainsFunc([]string{"1", "2", "3", "4"}, isStored)
			})
		}
		mu.Lock()
		defer mu.Unlock()
		if fails && number == "5" {
			return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		}
		if r.Header.Get("X-Amz-Copy-Source-If-Match") == "" {
			t.Errorf("part %q is of whatever is there", number)
		}
		parts = append(parts, number)
		return false
	})
	text := content(1, 80<<20)
	b := copiedAgain(t, s, p, text)
	b.request.Export.OnExisting, b.request.Export.Tags = onExisting, map[string]string{"team": "new"}
	if r := b.run(); r.Reason != wire.Throttled {
		t.Fatalf("the report is %+v, want %s", r, wire.Throttled)
	}
	mu.Lock()
	first := len(parts)
	fails = false
	mu.Unlock()
	b.request.Attempt = 2
	if r := b.mustBeDone(b.run()); r.CopiedObjects != 1 || r.SentObjects != 0 {
		t.Errorf("the report is %+v, want a copy", r)
	}
	b.mustBeListed(s, text)
	mu.Lock()
	defer mu.Unlock()
	if first == 0 || len(parts)-first >= 5 || strings.Contains(strings.Join(parts, ","), ",,") {
		t.Errorf("copied were first %q, then %q", parts[:first], parts[first:])
	}
	tags, err := s.client.GetObjectTagging(t.Context(), testBucket, "runs/2/f", minio.GetObjectTaggingOptions{})
	if err != nil || tags.ToMap()["team"] != "new" {
		t.Errorf("the copy has the tags %v (%v)", tags, err)
	}
}

// A large object that is not any more the one that the last manifest lists is sent, and its parts are given up.
func TestALargeObjectThatIsAnotherOne(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		text := content(1, 80<<20)
		b := copiedAgain(t, s, startProxy(t, s, nil), text)
		s.put(t, "runs/1/f", bytes.Repeat([]byte("x"), len(text)))
		if r := b.mustBeDone(b.run()); r.SentObjects != 1 || r.CopiedObjects != 0 {
			t.Errorf("the report is %+v, want an object that was sent", r)
		}
		b.mustBeListed(s, text)
	})
}

// An export before is not called complete again while a copy may still take the place of what it lists.
func TestAnEmptiedVolumeWaitsForCopies(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var late atomic.Pointer[http.Request]
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if !isCopy(r, "") || keyOf(r) != "runs/2/f" { // The manifest is moved by a copy, too.
				return false
			}
			late.CompareAndSwap(nil, kept(t, r))
			return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		})
		shared := newExport(t, s.endpoint)
		shared.request.Source.Prefix = "runs/2/"
		shared.file("f", "of the export before")
		shared.mustBeDone(shared.run())
		b := copiedAgain(t, s, p, []byte("copied"))
		if r := b.run(); r.Reason != wire.Throttled || late.Load() == nil {
			t.Fatalf("the report is %+v, want %s of a copy", r, wire.Throttled)
		}
		mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "f")))
		isArrived := false
		b.hears = func(line string) { // The mover goes on when this has returned.
			if strings.Contains(line, "are waited for") {
				isArrived = arrives(t, s, late.Load()) == http.StatusOK
			}
		}
		b.request.Attempt = 2
		b.options.RoundPause = 150 * time.Millisecond
		r := b.run()
		tells := strings.Contains(r.Message, "1 objects of that export were replaced")
		if r.Reason != wire.SourceEmpty || !isArrived || !tells || s.has(t, "runs/2/"+manifest.Key) {
			t.Errorf("the report is %+v, the copy has come: %t, and there are %v", r, isArrived, s.keys(t, "runs/2/"))
		}
	})
}
