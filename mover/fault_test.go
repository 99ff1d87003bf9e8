// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// small puts n small objects and returns them.
func small(t testing.TB, s *s3server, n int) map[string][]byte {
	t.Helper()
	want := make(map[string][]byte, n)
	for i := range n {
		k := fmt.Sprintf("dir/o%03d", i)
		want[k] = content(uint64(i), 2000+i)
		s.put(t, k, want[k])
	}
	return want
}

// bothWays runs a test with mirror and with streams.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("with mirror", func(t *testing.T) {
		forceMirror(t)
		test(t)
	})
	t.Run("with streams", test)
}

func TestABrokenConnectionIsRetried(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 10)
		var once sync.Map
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if _, seen := once.LoadOrStore(keyOf(r), true); seen || r.Method != http.MethodGet ||
				!strings.HasSuffix(keyOf(r), "7") {
				return false
			}
			w.Header().Set("Content-Length", "2007")
			_, _ = w.Write(make([]byte, 1000))
			panic(http.ErrAbortHandler) // Cuts the connection in the middle of the body.
		})
		b := newBench(t, p.URL)
		b.mustBeDone(b.run())
		b.mustHold(want)
	})
}

func TestWrongBytesAreFetchedAgain(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 10)
		var lies atomic.Int64
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || keyOf(r) != "dir/o005" || lies.Add(1) > 1 {
				return false
			}
			w.Header().Set("ETag", tagOf(r))
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", "2005")
			_, _ = w.Write(make([]byte, 2005))
			return true
		})
		b := newBench(t, p.URL)
		b.mustBeDone(b.run())
		b.mustHold(want)
		if lies.Load() < 2 {
			t.Errorf("the object was asked for %d times", lies.Load())
		}
	})
}

func TestBytesThatStayWrongFail(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		small(t, s, 10)
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || keyOf(r) != "dir/o005" {
				return false
			}
			w.Header().Set("ETag", tagOf(r))
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", "2005")
			_, _ = w.Write(make([]byte, 2005))
			return true
		})
		b := newBench(t, p.URL)
		r := b.run()
		if r.Class != wire.RetryUncounted || r.Reason != wire.VerificationFailed ||
			!strings.Contains(r.Message, `"dir/o005"`) {
			t.Errorf("report is %+v", r)
		}
		if p.gets.Load() > 40 {
			t.Errorf("%d objects were asked for, that is more than three rounds", p.gets.Load())
		}
	})
}

// TestAChangedObject overwrites an object after it was listed, with the same
// size and with another one.
func TestAChangedObject(t *testing.T) {
	for name, size := range map[string]int{"of the same size": 2005, "of another size": 3000} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T) {
				s := startVersity(t)
				want := small(t, s, 10)
				changed := content(99, size)
				var once sync.Once
				p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
					if keyOf(r) != "" { // The first object: the listing is over.
						once.Do(func() { s.put(t, "dir/o005", changed) })
					}
					return false
				})
				b := newBench(t, p.URL)
				r := b.run()
				if r.Class != wire.RetryUncounted || r.Reason != wire.SourceChanged || !strings.Contains(r.Message, `"dir/o005"`) {
					t.Fatalf("report is %+v", r)
				}
				b.request.Attempt = 2
				r = b.mustBeDone(b.run())
				want["dir/o005"] = changed
				b.mustHold(want)
				if r.FetchedBytes > int64(size) { // None, if the first attempt has fetched the new content already.
					t.Errorf("the second attempt fetched %d bytes, want at most the changed object's %d", r.FetchedBytes, size)
				}
			})
		})
	}
}

// TestObjectsWithoutDigestsStayApart shrinks the first of three objects that
// share one mc and whose content is not compared. The bytes of the second are
// then cut out at the wrong place, although it did not change itself.
func TestObjectsWithoutDigestsStayApart(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"a": content(1, 3000), "b": content(2, 3000), "c": content(3, 3000)}
	for k, v := range want {
		s.put(t, k, v)
	}
	var once sync.Once
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if keyOf(r) != "" {
			once.Do(func() { s.put(t, "a", want["a"][:2000]) })
		}
		return false
	})
	b := newBench(t, p.URL)
	b.request.Transfer.Verify = proof.VerifySize
	if r := b.run(); !r.Class.Again() || r.Reason != wire.SourceChanged {
		t.Fatalf("report is %+v", r)
	}
	want["a"] = want["a"][:2000]
	r := b.mustBeDone(b.run())
	b.mustHold(want)
	if !strings.Contains(r.Message, "3 by size") || r.SizeOnlyObjects != 3 {
		t.Errorf("the report is %+v, want 3 objects by size", r)
	}
}

// TestAnEmptyObjectThatGrows is not among those whose size is asked for again: an empty file is
// right by itself. The next object in the pipe, which did not change, is cut out of its bytes.
func TestAnEmptyObjectThatGrows(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"a": {}, "b": content(2, 3000), "c": content(3, 3000)}
	for k, v := range want {
		s.put(t, k, v)
	}
	var once sync.Once
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if keyOf(r) != "" {
			once.Do(func() { s.put(t, "a", content(4, 3000)) })
		}
		return false
	})
	b := newBench(t, p.URL)
	b.request.Transfer.Verify = proof.VerifySize
	if r := b.run(); r.Class == wire.Done {
		b.mustHold(want)
		return // No mover follows one that is done, and the volume may be in use.
	}
	want["a"] = content(4, 3000)
	b.request.Attempt, b.request.Volume.Began = 2, true
	b.mustBeDone(b.run())
	b.mustHold(want)
}

// TestABodyThatIsLongerThanItsObject, as of a server that unpacks what it stores packed: all but
// the bytes themselves say that it is as long as it was listed.
func TestABodyThatIsLongerThanItsObject(t *testing.T) {
	for name, keys := range map[string][]string{"alone": {"a"}, "before others": {"a", "b", "c"}} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			want := map[string][]byte{}
			for i, k := range keys {
				want[k] = content(uint64(i), 3000)
				s.put(t, k, want[k])
			}
			var sound atomic.Bool
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || keyOf(r) != "a" || sound.Load() {
					return false
				}
				w.Header().Set("ETag", tagOf(r))
				w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
				_, _ = w.Write(content(9, 6000))
				return true
			})
			b := newBench(t, p.URL)
			b.request.Transfer.Verify = proof.VerifySize
			if r := b.run(); r.Reason != wire.VerificationFailed && r.Reason != wire.TransferFailed {
				t.Errorf("report is %+v", r)
			}
			sound.Store(true)
			b.request.Attempt = 2
			b.mustBeDone(b.run())
			b.mustHold(want)
		})
	}
}

func TestADeletedObject(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 5)
		var once sync.Once
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if keyOf(r) != "" {
				once.Do(func() {
					if err := os.Remove(filepath.Join(s.dir, testBucket, "dir/o003")); err != nil {
						t.Error(err)
					}
				})
			}
			return false
		})
		b := newBench(t, p.URL)
		r := b.run()
		if r.Class != wire.RetryUncounted || r.Reason != wire.SourceChanged {
			t.Fatalf("report is %+v", r)
		}
		delete(want, "dir/o003")
		b.mustBeDone(b.run())
		b.mustHold(want)
	})
}

// TestAnObjectThatAppears is listed by mc's own listing only. It may even have
// a name that must not be placed.
func TestAnObjectThatAppears(t *testing.T) {
	forceMirror(t)
	s := startVersity(t)
	want := small(t, s, 5)
	var listings atomic.Int64
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("list-type") && listings.Add(1) == 2 {
			s.put(t, "dir/new", []byte("new"))
		}
		return false
	})
	b := newBench(t, p.URL)
	b.mustBeDone(b.run())
	b.mustHold(want)
}

func TestServerAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request) bool
		want  wire.Reason
	}{
		"throttled while listing": {
			func(w http.ResponseWriter, _ *http.Request) bool { return s3Error(w, 503, "SlowDown") }, wire.Throttled,
		},
		"denied while listing": {
			func(w http.ResponseWriter, _ *http.Request) bool { return s3Error(w, 403, "AccessDenied") }, wire.AccessDenied,
		},
		"denied while reading": {func(w http.ResponseWriter, r *http.Request) bool {
			return keyOf(r) != "" && s3Error(w, 403, "AccessDenied")
		}, wire.AccessDenied},
		"redirected": {
			func(w http.ResponseWriter, _ *http.Request) bool { return s3Error(w, 301, "PermanentRedirect") },
			wire.RequestRejected,
		},
		"archived": {func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodGet && keyOf(r) != "" && s3Error(w, 403, "InvalidObjectState")
		}, wire.RequestRejected},
		"no answer at all": {
			func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, wire.EndpointUnreachable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			s.put(t, "a", []byte("a"))
			b := newBench(t, startProxy(t, s, tt.fault).URL)
			if r := b.run(); r.Reason != tt.want || r.Class != fault.ClassOf(tt.want) || r.Message == "" {
				t.Errorf("report is %+v, want reason %s", r, tt.want)
			}
		})
	}
}
