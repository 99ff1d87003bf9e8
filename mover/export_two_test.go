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
	"testing"

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
