// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

func TestWhatIsExportedComesBack(t *testing.T) {
	eachServer(t, exportedComesBack)
}

func exportedComesBack(t *testing.T, s *s3server) {
	b := newExport(t, s.endpoint)
	b.odd()
	mustDo(t, unix.Mkfifo(filepath.Join(b.paths.Volume, "fifo"), 0o600))
	before := tree(t, b.paths.Volume)
	r := b.mustBeDone(b.run())
	if diff := cmp.Diff(before, tree(t, b.paths.Volume)); diff != "" {
		t.Errorf("the export changed the volume (-before +after):\n%s", diff)
	}
	files := int64(14*33 + 3)
	if r.Objects != files || r.Links != 6 || r.SentObjects != files || r.SpecialFiles != 1 || r.OtherObjects != 0 ||
		r.ChangedFiles != 0 || !r.Progressed {
		t.Errorf("the report is %+v, want %d objects", r, files)
	}
	if got := s.keys(t, "runs/1/.s3populator/"); len(got) != 1 || got[0] != "manifest.json" {
		t.Errorf("the export left %q of its own", got)
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
	if got := s.object(t, "runs/1/dir/plain/sub0/plain"); got != "" {
		t.Errorf("an empty file became %q", got)
	}
	p, report := b.populate(nil)
	p.mustBeDone(report)
	if report.ManifestDigest != r.ManifestDigest || r.ManifestDigest == "" {
		t.Errorf("the digest of the export is %s, that of the population %s", r.ManifestDigest, report.ManifestDigest)
	}
	delete(before, "fifo")
	if diff := cmp.Diff(before, tree(t, p.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
	if !strings.Contains(report.Message, "6 links") {
		t.Errorf("the message is %q", report.Message)
	}
	// Once more, on a volume that is complete and whose report was lost.
	p.request.Attempt = 2
	p.mustBeDone(p.run())
	if diff := cmp.Diff(before, tree(t, p.paths.Volume)); diff != "" {
		t.Errorf("after another attempt (-exported +populated):\n%s", diff)
	}
	// Without the manifest it is a prefix like any other.
	p, report = b.populate(func(r *wire.Request) { r.Policy.RestoreAttributes = false })
	p.mustBeDone(report)
	if report.ManifestDigest != r.ManifestDigest {
		t.Errorf("the digest of the export is %s, that of a plain population %s", r.ManifestDigest, report.ManifestDigest)
	}
}

// A run of every night costs what changed: a file that is as the last manifest lists it is not read.
func TestAnExportReadsOnlyWhatChanged(t *testing.T) {
	for name, copied := range map[string]bool{"in a shared prefix": false, "in a prefix of its own": true} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { exportReadsWhatChanged(t, s, copied) })
		})
	}
}

func exportReadsWhatChanged(t *testing.T, s *s3server, copied bool) {
	b := newExport(t, s.endpoint)
	b.file("same", "same")
	b.file("touched", "touched")
	b.file("changed", "before")
	b.file("removed", "removed")
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 17<<20), 0o600))
	b.settle()
	b.mustBeDone(b.run())

	// Only who does not read it can take it for the same.
	unread := filepath.Join(b.paths.Volume, "same")
	info, err := os.Stat(unread)
	mustDo(t, err)
	mustDo(t, os.WriteFile(unread, []byte("SAME"), 0o600))
	mustDo(t, os.Chtimes(unread, info.ModTime(), info.ModTime()))
	b.file("changed", "after!")
	mustDo(t, os.Chtimes(filepath.Join(b.paths.Volume, "touched"), time.Time{}, time.Unix(1e9, 0)))
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "removed")))

	b.request.Export.Run = "run-2"
	want := wire.Report{SentObjects: 1, UnchangedObjects: 3, OtherObjects: 1}
	if copied {
		b.request.Source.Prefix, b.request.Export.CopyFrom = "runs/2/", "runs/1/"
		want = wire.Report{SentObjects: 2, CopiedObjects: 2}
	}
	r := b.mustBeDone(b.run())
	if r.SentObjects != want.SentObjects || r.CopiedObjects != want.CopiedObjects ||
		r.UnchangedObjects != want.UnchangedObjects ||
		r.OtherObjects != want.OtherObjects ||
		r.Objects != 4 {
		t.Errorf("the report is %+v, want %+v", r, want)
	}
	if got := s.object(t, b.request.Source.Prefix+"same"); got != "same" {
		t.Errorf("the unchanged file was read: its object is %q", got)
	}
	if got := s.object(t, b.request.Source.Prefix+"changed"); got != "after!" {
		t.Errorf("the changed file is %q", got)
	}
	if got := s.keys(t, b.request.Source.Prefix+".s3populator/"); len(got) != 1 {
		t.Errorf("the export left %q", got)
	}
	if copied {
		p, report := b.populate(nil)
		p.mustBeDone(report)
		if report.ManifestDigest != r.ManifestDigest {
			t.Errorf("the digest of the export is %s, that of the population %s", r.ManifestDigest, report.ManifestDigest)
		}
	}
}

// Where the storage copies files for a snapshot or a clone, numbers of inodes and times may be those of another file.
func TestAnExportOfACopyReadsWhatMayBeAnotherFile(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := newExport(t, s.endpoint)
		b.request.Volume.Temporary, b.request.Volume.AsOf = "t-1", time.Now().Add(time.Hour)
		b.file("same", "same")
		b.file("other", "other")
		b.settle()
		b.mustBeDone(b.run())
		unread := filepath.Join(b.paths.Volume, "other")
		info, err := os.Stat(unread)
		mustDo(t, err)
		mustDo(t, os.WriteFile(unread, []byte("OTHER"), 0o600))
		mustDo(t, os.Chtimes(unread, info.ModTime(), info.ModTime()))
		b.request.Export.Run, b.request.Volume.Temporary = "run-2", "t-2"
		r := b.mustBeDone(b.run())
		if got := s.object(t, b.request.Source.Prefix+"other"); got != "OTHER" || r.SentObjects != 1 ||
			r.UnchangedObjects != 1 {
			t.Errorf("the file that is another one was not read: its object is %q, the report %+v", got, r)
		}
	})
}

// Nothing that is not ours is ever removed.
func TestDeleteExtraRemovesOnlyWhatTheLastManifestLists(t *testing.T) {
	eachServer(t, deleteExtra)
}

func deleteExtra(t *testing.T, s *s3server) {
	b := newExport(t, s.endpoint)
	for _, name := range []string{"kept", "removed", "dir/removed", "overwritten"} {
		b.file(name, name)
	}
	b.mustBeDone(b.run())
	s.put(t, "runs/1/stranger", []byte("stranger"))
	s.put(t, "runs/1/overwritten", []byte("by a stranger"))
	for _, name := range []string{"removed", "dir", "overwritten"} {
		mustDo(t, os.RemoveAll(filepath.Join(b.paths.Volume, name)))
	}
	b.file("added/file", "x")
	b.request.Export.Run, b.request.Export.DeleteExtra, b.request.Export.DryRun = "run-2", true, true
	listed := s.keys(t, "")
	r := b.mustBeDone(b.run())
	if r.DeletedObjects != 2 || r.SentObjects != 1 || r.UnchangedObjects != 1 || r.Progressed {
		t.Errorf("the report of a dry run is %+v", r)
	}
	if diff := cmp.Diff(listed, s.keys(t, "")); diff != "" {
		t.Errorf("a dry run wrote (-before +after):\n%s", diff)
	}
	b.request.Export.DryRun = false
	r = b.mustBeDone(b.run())
	want := []string{".s3populator/manifest.json", "added/file", "kept", "overwritten", "stranger"}
	if diff := cmp.Diff(want, s.keys(t, "runs/1/")); diff != "" || r.DeletedObjects != 2 || r.OtherObjects != 2 {
		t.Errorf("the report is %+v (-want +got):\n%s", r, diff)
	}
}

func TestOneFileIsExportedToOneKey(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("models/beta.bin", "weights")
	b.file("models/other", "other")
	b.request.Volume.TargetPath = "models/beta.bin"
	b.request.Source.Prefix, b.request.Export.Key = "", "release/1.0.bin"
	r := b.mustBeDone(b.run())
	if diff := cmp.Diff([]string{"release/1.0.bin"}, s.keys(t, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := newBench(t, s.endpoint)
	p.request.Source.Objects = []wire.Object{{Key: "release/1.0.bin"}}
	report := p.mustBeDone(p.run())
	if r.Objects != 1 || r.SentObjects != 1 || r.ManifestDigest != report.ManifestDigest {
		t.Errorf("the report of the export is %+v, that of the population %+v", r, report)
	}
	p.mustHold(map[string][]byte{"release/1.0.bin": []byte("weights")})

	b.request.Export.Run = "run-2"
	if r := b.mustBeDone(b.run()); r.UnchangedObjects != 1 || r.SentObjects != 0 {
		t.Errorf("the same file again: %+v", r)
	}
	b.request.Export.OnExisting, b.request.Export.Run = wire.Fail, "run-3"
	if r := b.run(); r.Reason != wire.ExistsAlready {
		t.Errorf("the same file again: %+v, want %s", r, wire.ExistsAlready)
	}
	b.request.Source.Prefix, b.request.Export = "one/", wire.ExportOptions{Run: "run-4"}
	b.mustBeDone(b.run())
	if diff := cmp.Diff([]string{".s3populator/manifest.json", "beta.bin"}, s.keys(t, "one/")); diff != "" {
		t.Errorf("to a prefix (-want +got):\n%s", diff)
	}
}
