// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// A claim that was made anew must not remove the backup of the one before it, nor one of two claims that of the other.
func TestDeleteExtraSparesWhatAnotherClaimHasExported(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("precious", "precious")
	b.file("dir/precious", "precious, too")
	b.mustBeDone(b.run())
	mustDo(t, os.RemoveAll(filepath.Join(b.paths.Volume, "precious")))
	mustDo(t, os.RemoveAll(filepath.Join(b.paths.Volume, "dir")))
	b.file("new", "new")
	b.request.Volume.ClaimUID, b.request.Export.Run, b.request.Export.DeleteExtra = "another-claim", "run-2", true
	r := b.mustBeDone(b.run())
	want := []string{".s3populator/manifest.json", "dir/precious", "new", "precious"}
	if diff := cmp.Diff(want, s.keys(t, "runs/1/")); diff != "" || r.DeletedObjects != 0 || r.OtherObjects != 2 {
		t.Errorf("the report is %+v (-want +got):\n%s", r, diff)
	}
}

// What one path of a volume has left below the prefix is not gone because another path does not have it.
func TestDeleteExtraSparesWhatIsOfAnotherPath(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	for _, name := range []string{"one/precious", "one/dir/precious", "two/a", "two/b"} {
		b.file(name+"/f", name)
	}
	b.request.Export.DeleteExtra = true
	kept := []string{"dir/precious/f", "precious/f"}
	for run, tt := range []struct {
		path string
		want []string
	}{
		{"one", kept},
		{"two", append([]string{"a/f", "b/f"}, kept...)},
	} {
		b.request.Volume.TargetPath, b.request.Export.Run = tt.path, "run-"+strconv.Itoa(run)
		r := b.mustBeDone(b.run())
		want := append([]string{".s3populator/manifest.json"}, tt.want...)
		slices.Sort(want)
		if diff := cmp.Diff(want, s.keys(t, "runs/1/")); diff != "" || r.DeletedObjects != 0 {
			t.Errorf("%s: the report is %+v (-want +got):\n%s", tt.path, r, diff)
		}
	}
	b.request.Volume.TargetPath, b.request.Export.Run = "two", "run-two" // After that of another path.
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "two/a/f")))
	b.request.Export.Run = "run-two-again"
	if r := b.mustBeDone(b.run()); r.DeletedObjects != 1 || s.has(t, "runs/1/a/f") {
		t.Errorf("the report is %+v, of %v", r, s.keys(t, "runs/1/"))
	}
}

// The manifest of an earlier version does not say of which path it is, which may be another one.
func TestDeleteExtraSparesWhatIsOfAnUnknownPath(t *testing.T) {
	path := regexp.MustCompile(`"path":"[^"]*",("created")`)
	for name, before := range map[string]string{"another path": "one", "the same, as it happens": "two"} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			for _, name := range []string{"one/precious", "one/x", "two/a", "two/b", "two/precious"} {
				b.file(name, name)
			}
			b.request.Volume.TargetPath = before
			b.mustBeDone(b.run())
			text := s.object(t, "runs/1/"+manifest.Key)
			s.put(t, "runs/1/"+manifest.Key, []byte(path.ReplaceAllString(text, "$1")))
			if m := s.manifestOf(t, "runs/1/"); m.Path != nil {
				t.Fatalf("the manifest is of path %q", *m.Path)
			}
			mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "two/precious")))
			kept := s.object(t, "runs/1/precious")
			b.request.Volume.TargetPath, b.request.Export = "two", wire.ExportOptions{Run: "run-2", DeleteExtra: true}
			r := b.mustBeDone(b.run())
			if r.DeletedObjects != 0 || s.object(t, "runs/1/precious") != kept || !strings.Contains(r.Message, "of which path") {
				t.Errorf("the report is %+v, of %v", r, s.keys(t, "runs/1/"))
			}
			mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "two/a")))
			b.request.Export.Run = "run-3" // By now it is known.
			r = b.mustBeDone(b.run())
			if r.DeletedObjects != 1 || s.has(t, "runs/1/a") || !s.has(t, "runs/1/precious") ||
				strings.Contains(r.Message, "of which path") {
				t.Errorf("the report of the next run is %+v, of %v", r, s.keys(t, "runs/1/"))
			}
		})
	}
}

// Such an object may be in the way, too. DeleteExtra, which is set, is no advice then.
func TestWhatIsOfAnUnknownPathInTheWay(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.mustBeDone(b.run())
	text := s.object(t, "runs/1/"+manifest.Key)
	pathless := regexp.MustCompile(`"path":"[^"]*",("created")`).ReplaceAllString(text, "$1")
	s.put(t, "runs/1/"+manifest.Key, []byte(pathless))
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "a")))
	b.file("a/b", "b")
	b.request.Export = wire.ExportOptions{Run: "run-2", DeleteExtra: true}
	r := b.run()
	if r.Reason != wire.ExistsAlready || !strings.Contains(r.Message, "of which path") ||
		!strings.Contains(r.Message, `runs/1/a`) || strings.Contains(r.Message, "set spec.deleteExtra") {
		t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
	}
	mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/a", minio.RemoveObjectOptions{}))
	b.mustBeDone(b.run())
}

// What a filter leaves out was not looked for, so it is not known to be gone.
func TestDeleteExtraSparesWhatIsNotSelected(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	for _, name := range []string{"a.log", "gone.log", "a.bin", "gone.bin", "tmp/x"} {
		b.file(name, name)
	}
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "gone.log")))
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "gone.bin")))
	b.request.Source.Include, b.request.Source.Exclude = []string{"**/*.log"}, []string{"tmp/**"}
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-2", true
	r := b.mustBeDone(b.run())
	want := []string{".s3populator/manifest.json", "a.bin", "a.log", "gone.bin", "tmp/x"}
	if diff := cmp.Diff(want, s.keys(t, "runs/1/")); diff != "" || r.DeletedObjects != 1 {
		t.Errorf("the report is %+v (-want +got):\n%s", r, diff)
	}
}

// Between the listing and the end of an export, somebody may write under a key whose file is gone.
func TestDeleteExtraSparesWhatWasWrittenSince(t *testing.T) {
	s := startVersity(t)
	var once sync.Once
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && keyOf(r) == "runs/1/new" {
			once.Do(func() { s.put(t, "runs/1/gone", []byte("somebody's")) })
		}
		return false
	})
	b := newExport(t, s.endpoint)
	b.file("gone", "gone")
	b.file("gone, too", "gone")
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "gone")))
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "gone, too")))
	b.file("new", "new")
	b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.DeleteExtra = p.URL, "run-2", true
	r := b.mustBeDone(b.run())
	want := []string{".s3populator/manifest.json", "gone", "new"}
	if diff := cmp.Diff(want, s.keys(t, "runs/1/")); diff != "" || r.DeletedObjects != 1 || r.OtherObjects != 1 ||
		s.object(t, "runs/1/gone") != "somebody's" {
		t.Errorf("the report is %+v (-want +got):\n%s", r, diff)
	}
}

// Where a file was, there is a directory or a link now, and the reverse: the old object would be loaded
// in the place of what the manifest lists, or make a population fail.
func TestObjectsInTheWay(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"a directory in the place of a file": func(b *bench) { b.file("x/y", "below") },
		"a link in the place of a file": func(b *bench) {
			mustDo(b.t, os.Symlink("other", filepath.Join(b.paths.Volume, "x")))
		},
		"an empty directory in the place of a file": func(b *bench) {
			mustDo(b.t, os.Mkdir(filepath.Join(b.paths.Volume, "x"), 0o755))
		},
		"a file in the place of a directory": func(b *bench) {
			mustDo(b.t, os.RemoveAll(filepath.Join(b.paths.Volume, "d")))
			b.file("d", "a file")
		},
		"a link in the place of a directory": func(b *bench) {
			mustDo(b.t, os.RemoveAll(filepath.Join(b.paths.Volume, "d")))
			mustDo(b.t, os.Symlink("other", filepath.Join(b.paths.Volume, "d")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { objectsInTheWay(t, s, change) })
		})
	}
}

func objectsInTheWay(t *testing.T, s *s3server, change func(b *bench)) {
	b := newExport(t, s.endpoint)
	b.file("x", "a file")
	b.file("d/e/f", "below")
	b.file("other", "other")
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "x")))
	change(b)
	before := s.keys(t, "")
	b.request.Export.Run = "run-2"
	if r := b.run(); r.Reason != wire.ExistsAlready || !strings.Contains(r.Message, "in the way") {
		t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
	}
	if diff := cmp.Diff(before, s.keys(t, "")); diff != "" {
		t.Errorf("something was written (-before +after):\n%s", diff)
	}
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-3", true
	if r := b.mustBeDone(b.run()); r.DeletedObjects == 0 || r.OtherObjects != 0 {
		t.Errorf("the report is %+v", r)
	}
	p, report := b.populate(nil)
	p.mustBeDone(report)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, p.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}
