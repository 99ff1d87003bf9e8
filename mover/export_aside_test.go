// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// Of a volume that was emptied after a run had begun there may be no complete run any more. So the export before can be
// restored again, unless something of it is not there as it was.
func TestAnEmptiedVolumeLeavesTheExportBefore(t *testing.T) {
	for name, tt := range map[string]struct {
		refuses string // The key that the first attempt cannot write.
		early   bool   // The volume is emptied while the first attempt sends, else before the next one.
		back    bool
	}{
		"while files are sent":                         {"", true, true},
		"and the manifest cannot be put back at first": {"runs/1/" + manifest.Key, true, true},
		"after an attempt that has sent nothing":       {"runs/1/a", false, true},
		"after an attempt that has replaced an object": {"runs/1/b", false, false},
	} {
		t.Run(name, func(t *testing.T) { emptiedVolume(t, tt.refuses, tt.early, tt.back) })
	}
}

func emptiedVolume(t *testing.T, refuses string, early, back bool) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("b", "b")
	b.file("dir/c", "c")
	before := tree(t, b.paths.Volume)
	b.mustBeDone(b.run())
	removed := func() {
		for _, name := range []string{"a", "b", "dir/c"} {
			_ = os.Remove(filepath.Join(b.paths.Volume, name))
		}
	}
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		if early && strings.HasSuffix(keyOf(r), "begun.json") {
			removed()
		}
		return keyOf(r) == refuses && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	for _, name := range []string{"a", "b", "dir/c"} {
		b.file(name, "changed")
	}
	b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.DeleteExtra = p.URL, "run-2", true
	b.request.Transfer.Parallelism = 1 // By name.
	r := b.run()
	if refuses != "" {
		if r.Reason != wire.AccessDenied || s.has(t, "runs/1/"+manifest.Key) {
			t.Fatalf("the report of the first attempt is %+v", r)
		}
		removed()
		b.request.Source.Endpoint, b.request.Attempt = s.endpoint, 2
		r = b.run()
	}
	if r.Reason != wire.SourceEmpty || s.has(t, "runs/1/"+manifest.Key) != back ||
		s.has(t, "runs/1/"+manifest.PreviousKey) == back || strings.Contains(r.Message, "previous.json") == back {
		t.Errorf("the report is %+v, and there are %v", r, s.keys(t, "runs/1/"))
	}
	if !back {
		return
	}
	if m := s.manifestOf(t, "runs/1/"); m.Run != "run-1" {
		t.Errorf("the manifest is of %s", m.Run)
	}
	b.request.Source.Endpoint = s.endpoint
	populated, report := b.populate(nil)
	populated.mustBeDone(report)
	if diff := cmp.Diff(before, tree(t, populated.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// An upload whose end nobody waited for may become an object when the export before is put back, over one that this
// lists.
func TestAnEmptiedVolumeEndsUploadsFirst(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		endpoint, late := completesLate(t, s)
		b := newExport(t, s.endpoint)
		at, before := filepath.Join(b.paths.Volume, "f"), content(1, 17<<20)
		mustDo(t, os.WriteFile(at, before, 0o600))
		b.mustBeDone(b.run())
		mustDo(t, os.WriteFile(at, content(2, 17<<20), 0o600))
		b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.DeleteExtra = endpoint, "run-2", true
		if r := b.run(); r.Reason != wire.AccessDenied || !late() {
			t.Fatalf("the report of the first attempt is %+v", r)
		}
		mustDo(t, os.Remove(at))
		b.request.Attempt = 2
		if r := b.run(); r.Reason != wire.SourceEmpty || s.manifestOf(t, "runs/1/").Run != "run-1" {
			t.Errorf("the report is %+v, and there are %v", r, s.keys(t, "runs/1/"))
		}
		if s.object(t, "runs/1/f") != string(before) {
			t.Error("the object is not the one that the manifest lists")
		}
	})
}
