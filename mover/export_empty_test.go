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

// A disk that is not mounted is an empty volume, too. Its export takes the place of none that has something, whoever
// has made that: nobody but its manifest knows of links, directories and attributes.
func TestAnEmptyVolumeReplacesNoExport(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(b *bench)
		reason wire.Reason
	}{
		"as it was":               {func(*bench) {}, wire.SourceEmpty},
		"with deleteExtra":        {func(b *bench) { b.request.Export.DeleteExtra = true }, wire.SourceEmpty},
		"of another claim":        {func(b *bench) { b.request.Volume.ClaimUID = "another-claim" }, wire.SourceEmpty},
		"of another path":         {func(b *bench) { b.request.Volume.TargetPath = "dir" }, wire.SourceEmpty},
		"as a dry run":            {func(b *bench) { b.request.Export.DryRun = true }, wire.SourceEmpty},
		"of all that is selected": {func(b *bench) { b.request.Source.Include = []string{"a"} }, wire.SourceEmpty},
		"of what the one before has not": {func(b *bench) {
			b.file("a", "a")
			b.request.Source.Include = []string{"none"}
		}, wire.SourceEmpty},
		"to another prefix": {func(b *bench) { b.request.Source.Prefix = "runs/2/" }, ""},
		"of which a link is selected": {func(b *bench) {
			mustDo(b.t, os.Symlink("a", filepath.Join(b.paths.Volume, "link")))
			b.request.Export.DeleteExtra = true
		}, wire.SourceEmpty},
	} {
		t.Run(name, func(t *testing.T) { emptyVolume(t, tt.change, tt.reason) })
	}
}

func emptyVolume(t *testing.T, change func(b *bench), reason wire.Reason) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("dir/b", "b")
	mustDo(t, os.Chmod(filepath.Join(b.paths.Volume, "a"), 0o751))
	mustDo(t, os.Symlink("b", filepath.Join(b.paths.Volume, "dir/link")))
	before := tree(t, b.paths.Volume)
	b.mustBeDone(b.run())
	for _, name := range []string{"a", "dir/b", "dir/link"} {
		mustDo(t, os.Remove(filepath.Join(b.paths.Volume, name)))
	}
	keys := s.keys(t, "")
	b.request.Export.Run = "run-2"
	change(b)
	r := b.run()
	if r.Reason != reason {
		t.Fatalf("the report is %+v, want %q", r, reason)
	}
	if reason == "" {
		return
	}
	if diff := cmp.Diff(keys, s.keys(t, "")); diff != "" || !strings.Contains(r.Message, "manifest.json") {
		t.Errorf("the message is %q (-before +after):\n%s", r.Message, diff)
	}
	b.request.Source.Prefix = "runs/1/"
	p, report := b.populate(nil)
	p.mustBeDone(report)
	if diff := cmp.Diff(before, tree(t, p.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// A volume that never had a file is exported as often as one likes, and one whose links are gone is not.
func TestVolumesWithoutFiles(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	mustDo(t, os.Mkdir(filepath.Join(b.paths.Volume, "dir"), 0o750))
	for _, run := range []string{"run-1", "run-2"} {
		b.request.Export.Run = run
		b.mustBeDone(b.run())
	}
	mustDo(t, os.Symlink("dir", filepath.Join(b.paths.Volume, "link")))
	b.request.Export.Run = "run-3"
	for _, dry := range []bool{true, false, false} { // The report of the last but one was lost.
		b.request.Export.DryRun = dry
		if r := b.mustBeDone(b.run()); r.Links != 1 || r.Objects != 0 {
			t.Errorf("of one link is reported %+v", r)
		}
	}
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "link")))
	b.request.Export.Run = "run-4"
	if r := b.run(); r.Reason != wire.SourceEmpty || s.manifestOf(t, "runs/1/").Run != "run-3" {
		t.Errorf("the report is %+v, want %s", r, wire.SourceEmpty)
	}
}

// A manifest that cannot be read, as one of a later version, may list whatever. It is replaced by files alone.
func TestAnEmptyVolumeReplacesNoUnreadableManifest(t *testing.T) {
	for name, text := range map[string]string{
		"damaged": `{"schemaVersion":1,"entries":[`, "of a later version": `{"schemaVersion":2,"entries":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			mustDo(t, os.Mkdir(filepath.Join(b.paths.Volume, "dir"), 0o750))
			s.put(t, "runs/1/"+manifest.Key, []byte(text))
			r := b.run()
			if r.Reason != wire.SourceEmpty || !strings.Contains(r.Message, "cannot be read") ||
				s.object(t, "runs/1/"+manifest.Key) != text {
				t.Errorf("the report is %+v, want %s", r, wire.SourceEmpty)
			}
			b.file("dir/f", "f")
			b.mustBeDone(b.run())
		})
	}
}

// The same of a disk that is lost while its files are sent.
func TestAVolumeThatIsEmptiedMeanwhileReplacesNoExport(t *testing.T) {
	s := startVersity(t)
	var b *bench
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "begun.json") && r.Method == http.MethodPut {
			_ = os.Remove(filepath.Join(b.paths.Volume, "a"))
			_ = os.Remove(filepath.Join(b.paths.Volume, "b"))
		}
		return false
	})
	b = newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("b", "b")
	b.mustBeDone(b.run())
	b.request.Source.Endpoint = p.URL
	b.file("a", "changed")
	b.file("b", "changed")
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-2", true
	if r := b.run(); r.Reason != wire.SourceEmpty || s.object(t, "runs/1/a") != "a" || s.object(t, "runs/1/b") != "b" {
		t.Errorf("the report is %+v, want %s", r, wire.SourceEmpty)
	}
}
