// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// A file whose upload was begun may be gone, or small, when the next attempt looks.
func TestUploadsOfFilesThatAreNotLargeAnyMore(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"it is gone":      func(b *bench) { mustDo(b.t, os.Remove(filepath.Join(b.paths.Volume, "large"))) },
		"it is small":     func(b *bench) { b.file("large", "small") },
		"it is left out":  func(b *bench) { b.request.Source.Exclude = []string{"large"} },
		"it is a link":    func(b *bench) { b.file("x", ""); relink(b, "large") },
		"it is different": func(b *bench) { mustDo(b.t, os.Truncate(filepath.Join(b.paths.Volume, "large"), 30<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 60<<20), 0o600))
			b.request.Transfer.BytesPerSecond = 8 << 20
			cmd := b.spawn()
			waitFor(t, time.Minute, "the upload has begun", func() bool { return len(s.uploads(t)) == 1 })
			mustDo(t, cmd.Process.Signal(unix.SIGKILL))
			_ = cmd.Wait()
			change(b)
			b.request.Attempt, b.request.Transfer.BytesPerSecond = 2, 0
			b.mustBeDone(b.run())
			if got := s.uploads(t); len(got) > 0 {
				t.Errorf("there are open uploads of %q", got)
			}
			if got := s.keys(t, "runs/1/.s3populator/"); len(got) != 1 {
				t.Errorf("left are %q", got)
			}
		})
	}
}

func relink(b *bench, name string) {
	mustDo(b.t, os.Remove(filepath.Join(b.paths.Volume, name)))
	mustDo(b.t, os.Symlink("x", filepath.Join(b.paths.Volume, name)))
}

// completesLate is a proxy that refuses to complete an upload, and completes it when a manifest is written.
// Late tells whether one was refused.
func completesLate(t *testing.T, s *s3server) (endpoint string, late func() bool) {
	t.Helper()
	var refused atomic.Pointer[http.Request]
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPost && r.URL.Query().Has("uploadId"):
			refused.Store(kept(t, r))
			return s3Error(w, http.StatusForbidden, "AccessDenied")
		case r.Method == http.MethodPut && keyOf(r) == "runs/1/"+manifest.Key:
			arrives(t, s, refused.Load())
		}
		return false
	})
	return p.URL, func() bool { return refused.Load() != nil }
}

// An upload whose end nobody waited for may become an object when the export is proven, over that of a file that is
// small by now.
func TestAnUploadThatIsCompletedLate(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		endpoint, late := completesLate(t, s)
		b := newExport(t, endpoint)
		mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), content(1, 17<<20), 0o600))
		if r := b.run(); r.Reason != wire.AccessDenied || !late() {
			t.Fatalf("the report of the first attempt is %+v", r)
		}
		b.file("f", "small")
		b.request.Attempt = 2
		b.mustBeDone(b.run())
		if got := s.object(t, "runs/1/f"); got != "small" {
			t.Errorf("the object has %d bytes", len(got))
		}
	})
}

// What a mover has asked for may come to S3 when the mover is gone, and the next one has looked already.
func TestAnUploadThatIsBegunLate(t *testing.T) {
	for _, aborted := range []bool{false, true} {
		t.Run(map[bool]string{false: "completed", true: "aborted"}[aborted], func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { uploadBegunLate(t, s, aborted) })
		})
	}
}

func uploadBegunLate(t *testing.T, s *s3server, aborted bool) {
	late, release := make(chan *http.Request, 1), make(chan struct{})
	var first, then sync.Once
	p := startProxy(t, s, nil)
	inner := p.Config.Handler
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, held := r.URL.Query(), false
		if r.Method == http.MethodPost && query.Has("uploads") {
			first.Do(func() { //nolint:contextcheck // It arrives after its client is gone.
				held = true
				request := r.Clone(context.WithoutCancel(r.Context()))
				request.Body = http.NoBody
				late <- request
			})
		}
		if held {
			<-release
			return
		}
		if r.Method == http.MethodPut && query.Get("partNumber") == "2" {
			then.Do(func() { inner.ServeHTTP(httptest.NewRecorder(), <-late) })
			if aborted {
				s3Error(w, http.StatusForbidden, "AccessDenied")
				return
			}
		}
		inner.ServeHTTP(w, r)
	})
	b := newExport(t, p.URL)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 40<<20), 0o600))
	cmd := b.spawn()
	waitFor(t, time.Minute, "the upload is asked for", func() bool { return len(late) == 1 })
	mustDo(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	close(release)
	b.request.Attempt = 2
	if r := b.run(); (r.Class == wire.Done) == aborted {
		t.Errorf("the report is %+v", r)
	}
	if aborted {
		abort := newExport(t, s.endpoint)
		abort.request.Operation, abort.request.Volume = wire.Abort, wire.Volume{}
		abort.mustBeDone(abort.run())
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
}
