// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// stalled holds the first answer of S3 that is wanted, which it has by then, until it is let go.
type stalled struct {
	s      *s3server
	wanted func(*http.Request) bool
	asked  atomic.Bool
	held   atomic.Bool // S3 has answered.
	open   chan struct{}
	let    sync.Once
}

func stall(t *testing.T, s *s3server, wanted func(*http.Request) bool) (*stalled, *proxy) {
	t.Helper()
	h := &stalled{s: s, wanted: wanted, open: make(chan struct{})}
	t.Cleanup(h.release)
	return h, startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool { return h.fault(t, w, r) })
}

func (h *stalled) fault(t *testing.T, w http.ResponseWriter, r *http.Request) bool {
	if !h.wanted(r) || !h.asked.CompareAndSwap(false, true) {
		return false
	}
	answer := httptest.NewRecorder()
	passOn(t, h.s, answer, r)
	h.held.Store(true)
	h.wait(r)
	w.Header().Set("ETag", tagOf(r))
	_, _ = w.Write(answer.Body.Bytes())
	return true
}

func (h *stalled) wait(r *http.Request) {
	select {
	case <-h.open:
	case <-r.Context().Done():
	}
}

func (h *stalled) release() { h.let.Do(func() { close(h.open) }) }

func getOf(key string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodGet && keyOf(r) == key }
}

// beside is another mover on the volume of b.
func (b *bench) beside(endpoint string) *bench {
	b.t.Helper()
	next := newImport(b.t, endpoint)
	next.paths.Volume, next.options.Paths.Volume = b.paths.Volume, b.paths.Volume
	next.request = b.request
	next.request.Source.Endpoint = endpoint
	return next
}

// begin runs the mover beside the test.
func (b *bench) begin() <-chan wire.Report {
	done := make(chan wire.Report, 1)
	go func() { done <- b.run() }()
	return done
}

// mustBeFenced: the attempt may be made again, whether it had brought files or not.
func (b *bench) mustBeFenced(r wire.Report) {
	b.t.Helper()
	if r.Reason != wire.Fenced || !r.Class.Again() || !strings.Contains(r.Message, "has taken the volume over") {
		b.t.Errorf("the report is %+v, want %s\n%s", r, wire.Fenced, b.log.String())
	}
}

// A mover that stalls, as on a node that is cut off and whose pod was deleted by force, goes on when another one has
// brought later files and has said that they are there. It replaces none of them, and removes none.
func TestAnImportThatStallsReplacesNothing(t *testing.T) {
	list := func(r *http.Request) bool { return r.URL.Query().Has("list-type") }
	for name, test := range map[string]struct {
		at   func(*http.Request) bool
		next func(*bench)
		want map[string]string
	}{
		"before the next attempt": {
			getOf("old/f"), func(next *bench) { next.request.Attempt = 2 }, map[string]string{"f": "later", "g": "old g"},
		},
		"before an import of another selection": {
			getOf("old/f"), anotherSelection, map[string]string{"f": "new f", "h": "new h"},
		},
		"while it lists": {list, anotherSelection, map[string]string{"f": "new f", "h": "new h"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			s.put(t, "old/f", []byte("older"))
			s.put(t, "old/g", []byte("old g"))
			s.put(t, "new/f", []byte("new f"))
			s.put(t, "new/h", []byte("new h"))
			h, p := stall(t, s, test.at)
			a := newImport(t, p.URL)
			a.request.Source.Prefix, a.request.Import.DeleteExtra = "old", true
			a.options.CheckpointEvery = time.Hour // The guard never looks.
			done := a.begin()
			waitFor(t, 30*time.Second, "the first mover stalls", h.held.Load)
			s.put(t, "old/f", []byte("later"))
			next := a.beside(s.endpoint)
			test.next(next)
			next.mustBeDone(next.run())
			want := map[string][]byte{}
			for name, text := range test.want {
				want[name] = []byte(text)
			}
			mustHoldButStaged(next, want)
			h.release()
			r := <-done
			a.mustBeFenced(r)
			next.mustHold(want)
			next.mustBeTidy()
		})
	}
}

func anotherSelection(b *bench) {
	b.request.Source.Prefix, b.request.Import.Run = "new", "run-2"
}

// mustHoldButStaged: who stalls may stage another file meanwhile, and removes it when it ends.
func mustHoldButStaged(b *bench, want map[string][]byte) {
	b.t.Helper()
	for name, text := range want {
		if got, err := os.ReadFile(b.at(name)); err != nil || !bytes.Equal(got, text) {
			b.t.Errorf("%s is %q (%v), want %q", name, got, err, text)
		}
	}
}

// A mover that another one has followed ends soon, although S3 does not answer it.
func TestAnImportThatStallsEndsSoon(t *testing.T) {
	s := startVersity(t)
	want := small(t, s, 5)
	h, p := stall(t, s, getOf("dir/o002"))
	a := newImport(t, p.URL)
	a.options.CheckpointEvery = 20 * time.Millisecond
	done := a.begin()
	waitFor(t, 30*time.Second, "the first mover stalls", h.held.Load)
	next := a.beside(s.endpoint)
	next.request.Attempt = 2
	next.mustBeDone(next.run())
	select {
	case r := <-done:
		a.mustBeFenced(r)
	case <-time.After(time.Minute):
		t.Error("the first mover waits for S3")
		h.release()
		<-done
	}
	next.mustHold(want)
}

// Two claims may share a volume: an import into one does not end that into the other.
func TestImportsOfTwoClaims(t *testing.T) {
	s := startVersity(t)
	want := small(t, s, 5)
	h, p := stall(t, s, getOf("dir/o002"))
	a := newImport(t, p.URL)
	a.request.Volume.TargetPath = "a"
	a.options.CheckpointEvery = 20 * time.Millisecond
	done := a.begin()
	waitFor(t, 30*time.Second, "the first mover stalls", h.held.Load)
	b := a.beside(s.endpoint)
	b.request.Volume.TargetPath, b.request.Volume.ClaimUID, b.request.Import.Run = "b", "another-claim", "run-2"
	if r := b.run(); r.Class != wire.Done {
		t.Errorf("the report is %+v", r)
	}
	h.release()
	if r := <-done; r.Class != wire.Done {
		t.Errorf("the report is %+v\n%s", r, a.log.String())
	}
	both := map[string][]byte{}
	for name, text := range want {
		both["a/"+name], both["b/"+name] = text, text
	}
	a.mustHold(both)
	a.mustBeTidy()
}

// Who may write to the target and not to the root of the volume imports, and says what is not certain then.
func TestAnImportThatMayNotWriteTheRoot(t *testing.T) {
	testenv.Root(t)
	s := startVersity(t)
	s.put(t, "f", []byte("of S3"))
	const user = 54321
	b := newImport(t, s.endpoint)
	b.request.Volume.TargetPath = "t"
	b.file("t/f", "before")
	mustDo(t, os.Chown(b.at("t"), user, user))
	code, out := b.runAs(user)
	if code != 0 || !strings.Contains(out, "could not be fenced") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	b.mustHold(map[string][]byte{"t/f": []byte("of S3")})
	b.mustBeTidy()
}
