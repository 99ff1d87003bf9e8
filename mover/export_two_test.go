// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// A manifest means complete. So a run below whose prefix another one ends meanwhile removes nothing of it
// and does not end itself: what it has sent, and what it knows, may be older.
func TestTwoExportsBelowOnePrefix(t *testing.T) {
	for name, at := range map[string]func(r *http.Request) bool{
		"ends before the first write": func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.HasSuffix(keyOf(r), "run-a/begun.json")
		},
		"ends while files are sent": func(r *http.Request) bool {
			return r.Method == http.MethodPut && keyOf(r) == "runs/1/changed"
		},
	} {
		for _, before := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", after a complete one", false: ", the first ones"}[before], func(t *testing.T) {
				twoExports(t, at, before)
			})
		}
	}
}

func twoExports(t *testing.T, at func(r *http.Request) bool, before bool) {
	s := startVersity(t)
	other := newExport(t, s.endpoint)
	other.file("kept", "kept")
	other.file("changed", "by the other")
	if before {
		other.mustBeDone(other.run())
	}
	other.request.Export.Run = "run-b"
	var once sync.Once
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if at(r) {
			once.Do(func() { other.mustBeDone(other.run()) })
		}
		return false
	})
	b := newExport(t, p.URL)
	b.file("changed", "by us")
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-a", true
	if r := b.run(); r.Reason != wire.VerificationFailed || r.Class != wire.Retry ||
		!strings.Contains(r.Message, "another export") {
		t.Errorf("the report is %+v, want %s", r, wire.VerificationFailed)
	}
	if got := s.object(t, "runs/1/"+manifest.Key); !strings.Contains(got, `"run-b"`) {
		t.Errorf("the manifest is %s", got)
	}
	if got := s.object(t, "runs/1/kept"); got != "kept" {
		t.Errorf("the object holds %q", got)
	}
	b.request.Attempt = 2
	if r := b.mustBeDone(b.run()); r.DeletedObjects != 1 || s.object(t, "runs/1/changed") != "by us" {
		t.Errorf("the report of the next attempt is %+v", r)
	}
	if _, err := os.Stat(filepath.Join(b.paths.Volume, "changed")); err != nil {
		t.Error(err)
	}
}

// The manifest of an attempt that was given up may arrive when the next one has overwritten and removed what it lists.
// It does not mean complete, and does not take the place of the one that does.
func TestAManifestThatArrivesLate(t *testing.T) {
	for name, tt := range map[string]struct {
		at   func(r *http.Request) bool // Of the second attempt; nil is after it.
		want wire.Reason                // Of the second attempt.
	}{
		"while objects are removed": {func(r *http.Request) bool {
			return r.Method == http.MethodDelete && keyOf(r) == "runs/1/removed"
		}, wire.VerificationFailed},
		"right before the next one": {func(r *http.Request) bool {
			return r.Method == http.MethodPut && keyOf(r) == "runs/1/"+manifest.Key
		}, wire.VerificationFailed},
		"after the next one": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { lateManifest(t, s, tt.at, tt.want) })
		})
	}
}

func lateManifest(t *testing.T, s *s3server, at func(r *http.Request) bool, want wire.Reason) {
	var b *bench
	var late *http.Request
	var once sync.Once
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if b.request.Attempt == 2 && at != nil && at(r) {
			once.Do(func() { arrives(t, s, late) })
		}
		if b.request.Attempt != 1 || r.Method != http.MethodPut || keyOf(r) != "runs/1/"+manifest.Key {
			return false
		}
		late = kept(t, r)
		return s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	b = newExport(t, s.endpoint)
	for _, name := range []string{"kept", "changed", "removed"} {
		b.file(name, name)
	}
	b.mustBeDone(b.run())
	b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.DeleteExtra = p.URL, "run-2", true
	b.file("changed", "of the first attempt")
	if r := b.run(); r.Reason != wire.AccessDenied || late == nil {
		t.Fatalf("the report of the first attempt is %+v", r)
	}
	b.file("changed", "of the second attempt")
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "removed")))
	b.request.Attempt = 2
	if r := b.run(); r.Reason != want {
		t.Errorf("the report of the second attempt is %+v, want %q", r, want)
	}
	if at == nil {
		if status := arrives(t, s, late); status != http.StatusPreconditionFailed {
			t.Errorf("the late manifest is answered with %d", status)
		}
	}
	b.request.Attempt = 3
	b.mustBeDone(b.run())
	p2, report := b.populate(nil)
	p2.mustBeDone(report)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, p2.paths.Volume)); diff != "" {
		t.Errorf("what is complete is not the volume (-volume +export):\n%s", diff)
	}
	if diff := cmp.Diff([]string{manifest.Key, "changed", "kept"}, s.keys(t, "runs/1/")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A server that refuses the condition, by whatever status, is asked without.
func TestAManifestOnNoCondition(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusNotImplemented} {
		s := startVersity(t)
		var refused atomic.Int64
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" {
				return false
			}
			refused.Add(1)
			return s3Error(w, status, "InvalidArgument")
		})
		b := newExport(t, p.URL)
		b.file("f", "content")
		if r := b.mustBeDone(b.run()); r.Objects != 1 || refused.Load() == 0 {
			t.Errorf("%d: the report is %+v, after %d refusals", status, r, refused.Load())
		}
		s.object(t, "runs/1/"+manifest.Key)
	}
}

// kept is a request that arrives later, when its client is gone.
func kept(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	mustDo(t, err)
	late := r.Clone(t.Context())
	late.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	return late
}

// arrives has the server see to a request that was kept, and tells its answer.
func arrives(t *testing.T, s *s3server, late *http.Request) int {
	t.Helper()
	status, _ := answered(t, s, late)
	return status
}

// answered also tells what it says.
func answered(t *testing.T, s *s3server, late *http.Request) (status int, text string) {
	t.Helper()
	body, err := late.GetBody()
	mustDo(t, err)
	r, err := http.NewRequestWithContext(t.Context(), late.Method, s.endpoint+late.URL.RequestURI(), body)
	mustDo(t, err)
	r.Header, r.Host, r.ContentLength = late.Header.Clone(), late.Host, late.ContentLength // They are signed.
	answer, err := http.DefaultClient.Do(r)
	mustDo(t, err)
	said, err := io.ReadAll(answer.Body)
	mustDo(t, err)
	mustDo(t, answer.Body.Close())
	return answer.StatusCode, string(said)
}

// What comes out the same however often it is tried counts as a failure, whatever was sent for it.
func TestAttemptsThatSendTheSameAgainCount(t *testing.T) {
	large := content(4, 40<<20)
	for name, tt := range map[string]struct {
		fault func(t *testing.T, s *s3server, r *http.Request)
		want  wire.Reason
	}{
		"something else writes there, too": {func(t *testing.T, s *s3server, r *http.Request) {
			if r.Method == http.MethodGet && r.URL.Query().Has("list-type") {
				s.put(t, "runs/1/f", []byte("by another"))
			}
		}, wire.VerificationFailed},
		"a part is damaged on its way": {func(_ *testing.T, _ *s3server, r *http.Request) {
			if r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == "3" {
				r.Body = io.NopCloser(bytes.NewReader(make([]byte, r.ContentLength)))
			}
		}, wire.FileChanged},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				tt.fault(t, s, r)
				return false
			})
			b := newExport(t, p.URL)
			mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), large, 0o600))
			for range 2 {
				if r := b.run(); r.Reason != tt.want || r.Class != wire.Retry || r.Progressed {
					t.Errorf("the report is %+v, want %s that counts", r, tt.want)
				}
				b.request.Attempt++
			}
		})
	}
}
