// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// whenSent runs a function once, as the first object of a file is on its way.
func whenSent(t *testing.T, s *s3server, key string, do func()) *proxy {
	t.Helper()
	var once sync.Once
	return startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && keyOf(r) == key {
			once.Do(do)
		}
		return false
	})
}

// What has another name by the time that it is sent was on the volume all along.
func TestFilesThatAreRenamedMeanwhile(t *testing.T) {
	s := startVersity(t)
	var b *bench
	in := func(name string) string { return filepath.Join(b.paths.Volume, name) }
	p := whenSent(t, s, "runs/1/a", func() {
		mustDo(t, os.Rename(in("dir"), in("moved")))
		mustDo(t, os.Rename(in("log"), in("log.1")))
		b.file("log", "a new one")
		mustDo(t, os.Remove(in("removed")))
		mustDo(t, os.Rename(in("z"), in("removed")))
		mustDo(t, os.Symlink("a", in("z")))
	})
	b = newExport(t, p.URL)
	for _, name := range []string{"a", "dir/sub/f", "dir/g", "log", "removed", "z"} {
		b.file(name, "content of "+name)
	}
	mustDo(t, os.Mkdir(in("dir/empty"), 0o750))
	b.request.Transfer.Parallelism = 1
	b.mustBeDone(b.run())
	populated, r := b.populate(nil)
	populated.mustBeDone(r)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, populated.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// A file that goes while the others are sent leaves no object that the next runs know nothing of.
func TestDeleteExtraOfAFileThatGoesMeanwhile(t *testing.T) {
	s := startVersity(t)
	var b *bench
	p := whenSent(t, s, "runs/1/a", func() { mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "z"))) })
	b = newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("z", "z")
	b.mustBeDone(b.run())
	b.file("a", "changed")
	b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.DeleteExtra = p.URL, "run-2", true
	b.request.Transfer.Parallelism = 1
	r := b.mustBeDone(b.run())
	if diff := cmp.Diff([]string{".s3populator/manifest.json", "a"}, s.keys(t, "runs/1/")); diff != "" ||
		r.DeletedObjects != 1 || r.OtherObjects != 0 || r.GoneFiles != 1 {
		t.Errorf("the report is %+v (-want +got):\n%s", r, diff)
	}
}

// A file that was away when S3 was listed, and is there again when the others are sent, keeps its object.
func TestDeleteExtraOfAFileThatComesBack(t *testing.T) {
	for name, shards := range map[string]int{"with one mover": 0, "with shards": 8} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			var b *bench
			p := whenSent(t, s, "runs/1/many/a/0", func() {
				b.file("back", "back")
				mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "many/b/1"))) // So that it is looked for.
			})
			b = newExport(t, s.endpoint)
			b.many(100)
			b.file("back", "back")
			b.mustBeDone(b.run())
			mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "back")))
			b.file("many/a/0", "changed")
			b.file("many/b/1", "changed")
			b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.DeleteExtra = p.URL, "run-2", true
			b.request.Transfer.Parallelism = 1
			if shards > 0 {
				for i := range int(b.plan(shards).Shards) {
					b.mustBeDone(b.shard(i))
				}
				b.mustBeDone(b.finishShards())
			} else {
				b.mustBeDone(b.run())
			}
			if got := s.object(t, "runs/1/back"); got != "back" || s.has(t, "runs/1/many/b/1") {
				t.Errorf("of the file that came back there is %q", got)
			}
		})
	}
}

// A name that appears meanwhile is refused like one that was there from the beginning.
func TestARenamedFileDoesNotOverwriteWhatMustNotBeThere(t *testing.T) {
	s := startVersity(t)
	var b *bench
	p := whenSent(t, s, "runs/1/a", func() {
		mustDo(t, os.Rename(filepath.Join(b.paths.Volume, "z"), filepath.Join(b.paths.Volume, "taken")))
	})
	s.put(t, "runs/1/taken", []byte("somebody's"))
	b = newExport(t, p.URL)
	b.file("a", "a")
	b.file("z", "z")
	b.request.Transfer.Parallelism, b.request.Export.OnExisting = 1, wire.Fail
	if r := b.run(); r.Reason != wire.ExistsAlready || s.object(t, "runs/1/taken") != "somebody's" {
		t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
	}
}

// A link that takes the place of the one file is not followed, and is no export either.
func TestOneFileThatBecomesALink(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("f", "content")
	opened, err := upload.OpenTree(b.paths.Volume, "f")
	mustDo(t, err)
	defer opened.Close()
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "f")))
	mustDo(t, os.Symlink("/etc/passwd", filepath.Join(b.paths.Volume, "f")))
	b.request.Volume.TargetPath, b.request.Source.Prefix, b.request.Export.Key = "f", "", "key"
	_, err = upload.Run(t.Context(), b.request, opened, upload.Setup{
		S3: s.client, Once: s.client, IdleTimeout: time.Minute, Tally: new(upload.Tally), Log: t.Logf,
	})
	if fault.ReasonOf(err) != wire.PathNotFound {
		t.Errorf("the error is %v, want %s", err, wire.PathNotFound)
	}
}
