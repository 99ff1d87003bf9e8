// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// emptying is when a volume is emptied after a run has begun.
type emptying struct {
	refuses string // The key that the first attempt cannot write.
	early   bool   // The volume is emptied while the first attempt sends, else before the next one.
	back    bool   // The manifest before is to be back in its place.
}

var emptyings = map[string]emptying{
	"while files are sent":                         {"", true, true},
	"and the manifest cannot be put back at first": {"runs/1/" + manifest.Key, true, true},
	"after an attempt that has sent nothing":       {"runs/1/a", false, true},
	"after an attempt that has replaced an object": {"runs/1/b", false, false},
}

// run makes a run of which the volume loses these files, and as many attempts as that takes.
func (e emptying) run(t *testing.T, b *bench, s *s3server, files ...string) wire.Report {
	t.Helper()
	removed := func() {
		for _, name := range files {
			_ = os.Remove(filepath.Join(b.paths.Volume, name))
		}
	}
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		if e.early && strings.HasSuffix(keyOf(r), "begun.json") {
			removed()
		}
		return keyOf(r) == e.refuses && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	for _, name := range files {
		b.file(name, "changed")
	}
	b.request.Source.Endpoint, b.request.Export.DeleteExtra = p.URL, true
	b.request.Transfer.Parallelism = 1 // By name.
	r := b.run()
	if e.refuses != "" {
		if r.Reason != wire.AccessDenied || s.has(t, "runs/1/"+manifest.Key) {
			t.Fatalf("the report of the first attempt is %+v", r)
		}
		removed()
		b.request.Source.Endpoint, b.request.Attempt = s.endpoint, 2
		r = b.run()
	}
	return r
}

// Of a volume that was emptied after a run had begun there may be no complete run any more. So the export before can be
// restored again, unless something of it is not there as it was.
func TestAnEmptiedVolumeLeavesTheExportBefore(t *testing.T) {
	for name, e := range emptyings {
		t.Run(name, func(t *testing.T) { emptiedVolume(t, e) })
	}
}

func emptiedVolume(t *testing.T, e emptying) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("b", "b")
	b.file("dir/c", "c")
	before := tree(t, b.paths.Volume)
	b.mustBeDone(b.run())
	b.request.Export.Run = "run-2"
	r := e.run(t, b, s, "a", "b", "dir/c")
	if r.Reason != wire.SourceEmpty || s.has(t, "runs/1/"+manifest.Key) != e.back ||
		s.has(t, "runs/1/"+manifest.PreviousKey) == e.back || strings.Contains(r.Message, "previous.json") == e.back {
		t.Errorf("the report is %+v, and there are %v", r, s.keys(t, "runs/1/"))
	}
	if !e.back {
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

// So is a manifest that cannot be read, as one of a later version: whoever can read it finds it in its place, unless
// something was written below the prefix since.
func TestAnEmptiedVolumeLeavesAnUnreadableManifest(t *testing.T) {
	for name, e := range emptyings {
		t.Run(name, func(t *testing.T) { emptiedVolumeUnread(t, e) })
	}
}

func emptiedVolumeUnread(t *testing.T, e emptying) {
	const later = `{"schemaVersion":2,"entries":[{"path":"a"},{"path":"b"}]}`
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	yesterday := time.Now().Add(-24 * time.Hour)
	for key, text := range map[string]string{"a": "before", "b": "before", manifest.Key: later} {
		s.put(t, "runs/1/"+key, []byte(text))
		mustDo(t, os.Chtimes(filepath.Join(s.dir, testBucket, "runs/1", key), yesterday, yesterday))
	}
	r := e.run(t, b, s, "a", "b")
	at, gone := "runs/1/"+manifest.Key, "runs/1/"+manifest.PreviousKey
	if !e.back {
		at, gone = gone, at
	}
	if r.Reason != wire.SourceEmpty || s.has(t, gone) || s.object(t, at) != later || !strings.Contains(r.Message, at) ||
		strings.Contains(r.Message, "runs/1/a") == e.back {
		t.Errorf("the report is %+v, and there are %v", r, s.keys(t, "runs/1/"))
	}
	if e.back && (s.object(t, "runs/1/a") != "before" || s.object(t, "runs/1/b") != "before") {
		t.Error("an object of the export before was replaced, and its manifest is in its place")
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
