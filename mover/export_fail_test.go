// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// neverComplete stands before a server that refuses the manifest below a prefix for as long as an attempt is the first.
func neverComplete(t *testing.T, s *s3server, b **bench, prefix string) *proxy {
	t.Helper()
	return startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return (*b).request.Attempt == 1 && r.Method == http.MethodPut && keyOf(r) == prefix+manifest.Key &&
			s3Error(w, http.StatusForbidden, "AccessDenied")
	})
}

// Where nothing may be there before, an attempt replaces what the one before has sent, and nothing that somebody else
// has written since.
func TestAnAttemptReplacesNothingOfOthers(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "larger": 1 << 20, "large": 17 << 20} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { attemptAfterAnother(t, s, size) })
		})
	}
}

func attemptAfterAnother(t *testing.T, s *s3server, size int) {
	var b *bench
	p := neverComplete(t, s, &b, "runs/1/")
	b = newExport(t, p.URL)
	b.request.Export.OnExisting = wire.Fail
	b.file("ours", strings.Repeat("a", size))
	if r := b.run(); r.Reason != wire.AccessDenied {
		t.Fatalf("the report of the first attempt is %+v", r)
	}
	s.put(t, "runs/1/f", []byte("somebody's"))
	b.file("f", strings.Repeat("x", size))
	b.file("ours", strings.Repeat("b", size))
	b.request.Attempt = 2
	if r := b.run(); r.Reason != wire.ExistsAlready || s.object(t, "runs/1/f") != "somebody's" {
		t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
	}
	mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/f", minio.RemoveObjectOptions{}))
	b.mustBeDone(b.run())
	if got := s.object(t, "runs/1/ours"); got != strings.Repeat("b", size) {
		t.Errorf("what the first attempt has sent was not replaced: %.10q", got)
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
}

// So it is with what appears while the parts of a file are sent.
func TestAnObjectThatAppearsInThePlaceOfOurs(t *testing.T) {
	s := startVersity(t)
	var b *bench
	var once sync.Once
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if b.request.Attempt == 2 && r.URL.Query().Get("partNumber") == "2" {
			once.Do(func() { s.put(t, "runs/1/f", []byte("somebody's")) })
		}
		return b.request.Attempt == 1 && r.Method == http.MethodPut && keyOf(r) == "runs/1/"+manifest.Key &&
			s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	b = newExport(t, p.URL)
	b.request.Export.OnExisting = wire.Fail
	b.file("f", strings.Repeat("a", 17<<20))
	if r := b.run(); r.Reason != wire.AccessDenied {
		t.Fatalf("the report of the first attempt is %+v", r)
	}
	b.file("f", strings.Repeat("b", 17<<20))
	b.request.Attempt = 2
	if r := b.run(); r.Reason != wire.ExistsAlready || s.object(t, "runs/1/f") != "somebody's" {
		t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
	}
}

// S3 would copy over whatever is there.
func TestACopyReplacesNothingOfOthers(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var once sync.Once
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.HasSuffix(keyOf(r), "run-2/begun.json") {
				once.Do(func() { s.put(t, "runs/2/f", []byte("somebody's")) })
			}
			return false
		})
		b := newExport(t, p.URL)
		b.request.Export.OnExisting = wire.Fail
		b.file("f", "content")
		b.settle()
		b.mustBeDone(b.run())
		b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
		if r := b.run(); r.Reason != wire.ExistsAlready || s.object(t, "runs/2/f") != "somebody's" {
			t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
		}
	})
}

// A copy is one of this run, whichever run its original is of.
func TestACopyIsReplacedByTheNextAttempt(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var b *bench
		p := neverComplete(t, s, &b, "runs/2/")
		b = newExport(t, p.URL)
		b.request.Export.OnExisting = wire.Fail
		b.file("f", "content")
		b.settle()
		b.mustBeDone(b.run())
		b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
		if r := b.run(); r.Reason != wire.AccessDenied || r.CopiedObjects != 1 {
			t.Fatalf("the report of the first attempt is %+v, want one copy", r)
		}
		b.file("f", "changed")
		b.request.Attempt = 2
		b.mustBeDone(b.run())
		if s.object(t, "runs/2/f") != "changed" {
			t.Error("the copy was not replaced")
		}
	})
}

// A file that changes is sent again, and an object that has appeared meanwhile is no work of the first time.
func TestAFileThatChangesReplacesNothingOfOthers(t *testing.T) {
	s := startVersity(t)
	var once sync.Once
	var b *bench
	stop, stopped := make(chan struct{}), make(chan struct{})
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(keyOf(r), "begun.json") {
			once.Do(func() {
				s.put(t, "runs/1/f", []byte("somebody's"))
				go touch(filepath.Join(b.paths.Volume, "f"), stop, stopped)
			})
		}
		return false
	})
	b = newExport(t, p.URL)
	b.request.Export.OnExisting = wire.Fail
	b.file("f", strings.Repeat("x", 256<<10)) // The largest one that is read at once.
	r := b.run()
	close(stop)
	<-stopped
	if r.Reason != wire.ExistsAlready || s.object(t, "runs/1/f") != "somebody's" {
		t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
	}
}

// touch changes a file all the time.
func touch(path string, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	for n := int64(1); ; n++ {
		select {
		case <-stop:
			return
		default:
			_ = os.Chtimes(path, time.Time{}, time.Unix(n, 0))
		}
	}
}

// What was sent of a file that has changed is replaced by the file as it is.
func TestAFileThatChangesReplacesItself(t *testing.T) {
	for name, size := range map[string]int{"larger": 1 << 20, "large": 17 << 20} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) {
				var once sync.Once
				var b *bench
				text := strings.Repeat("y", size)
				p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPut && keyOf(r) == "runs/1/f" {
						once.Do(func() { mustDo(t, os.Chtimes(filepath.Join(b.paths.Volume, "f"), time.Time{}, time.Unix(1e9, 0))) })
					}
					return false
				})
				b = newExport(t, p.URL)
				b.request.Export.OnExisting = wire.Fail
				b.file("f", text)
				if r := b.mustBeDone(b.run()); r.Objects != 1 || s.object(t, "runs/1/f") != text {
					t.Errorf("the report is %+v", r)
				}
				if !strings.Contains(b.log.String(), "changed while it was read") {
					t.Error("the file did not change, so nothing was shown")
				}
			})
		})
	}
}

// A run that was complete, and whose report was lost, goes on where an object of it is gone since.
func TestACompleteRunThatLostAnObject(t *testing.T) {
	for _, onExisting := range []string{wire.Fail, wire.Overwrite} {
		t.Run(onExisting, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.request.Export.OnExisting = onExisting
			b.file("a", "a")
			b.file("b", "b")
			b.mustBeDone(b.run())
			mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/b", minio.RemoveObjectOptions{}))
			b.request.Attempt = 2
			if r := b.mustBeDone(b.run()); r.SentObjects != 1 || s.object(t, "runs/1/b") != "b" {
				t.Errorf("the report is %+v, want one object sent", r)
			}
		})
	}
}
