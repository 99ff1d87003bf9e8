// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// runAs runs the bench's mover as another user, in a process of its own.
func (b *bench) runAs(uid uint32) (code int, out string) {
	b.t.Helper()
	for dir := b.paths.Scratch; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		mustDo(b.t, os.Chmod(dir, 0o755))
	}
	mustDo(b.t, os.Chown(b.paths.Scratch, int(uid), -1))
	b.log.Reset()
	cmd := b.command()
	binary := filepath.Join(filepath.Dir(b.paths.Scratch), "mover")
	text, err := os.ReadFile(os.Args[0]) // Its own directory is not for others.
	mustDo(b.t, err)
	mustDo(b.t, os.WriteFile(binary, text, 0o755))
	cmd.Path = binary
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), b.log.String()
}

// A mover that is killed again and again sends nothing twice but what was on its way.
func TestAnExportThatIsKilled(t *testing.T) {
	s := startVersity(t)
	var mu sync.Mutex
	stored := map[string]int64{} // Bytes that S3 was sent whole, by key and part.
	var total int64
	p := startProxy(t, s, nil)
	inner := p.Config.Handler
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &wholeBody{ReadCloser: r.Body}
		r.Body = body
		defer func() { // Also where the proxy gives up, because the client was killed before the answer.
			if r.Method != http.MethodPut || body.read.Load() < r.ContentLength ||
				strings.Contains(keyOf(r), ".s3populator/") {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			stored[keyOf(r)+" "+r.URL.Query().Get("partNumber")] += r.ContentLength
			total += r.ContentLength
		}()
		inner.ServeHTTP(w, r)
	})
	b := newExport(t, p.URL)
	size := int64(0)
	add := func(name string, text []byte) {
		mustDo(t, os.MkdirAll(filepath.Dir(filepath.Join(b.paths.Volume, name)), 0o755))
		mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, name), text, 0o644))
		size += int64(len(text))
	}
	for i := range 300 {
		add("small/"+string(rune('a'+i%26))+"/"+time.Duration(i).String(), content(uint64(i), 1000+i*50))
	}
	add("large/1", content(1001, 100<<20))
	add("large/2", content(1002, 70<<20+3))
	b.request.Transfer.BytesPerSecond = 30 << 20
	random := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for done := false; !done; kills++ {
		if kills > 60 {
			t.Fatal("it never ends")
		}
		b.log.Reset()
		cmd := b.spawn()
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
			if done = cmd.ProcessState.ExitCode() == 0; !done {
				t.Fatalf("exit code %d:\n%s", cmd.ProcessState.ExitCode(), b.log.String())
			}
		case <-time.After(time.Duration(500+random.IntN(1500)+100*kills) * time.Millisecond): // A busy machine needs longer.
			mustDo(t, cmd.Process.Signal(unix.SIGKILL))
			<-ended
		}
		b.request.Attempt++
	}
	if kills < 3 {
		t.Errorf("it was killed %d times only", kills-1)
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
	const inFlight = 2*16<<20 + 16*16<<10 // Two parts and sixteen small files.
	mu.Lock()
	if most := size + int64(kills-1)*inFlight; total < size || total > most {
		t.Errorf("S3 took %d bytes of %d with %d kills", total, size, kills-1)
	}
	for key, n := range stored {
		if n > 0 && strings.HasSuffix(key, " ") && !strings.Contains(key, "small/") {
			t.Errorf("%q was sent with one request", key)
		}
	}
	mu.Unlock()
	if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/1/.s3populator/")); diff != "" {
		t.Errorf("left are (-want +got):\n%s", diff)
	}
	mover, report := b.populate(nil)
	mover.mustBeDone(report)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, mover.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// wholeBody counts what was read of a request. S3 stores nothing of which not all was read, and may store what it
// did not get to answer any more.
type wholeBody struct {
	io.ReadCloser

	read atomic.Int64
}

func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err //nolint:wrapcheck // A reader's.
}

// An Abort ends what the run has begun, and nothing else.
func TestAnExportIsAborted(t *testing.T) {
	eachServer(t, exportIsAborted)
}

func exportIsAborted(t *testing.T, s *s3server) {
	b := newExport(t, s.endpoint)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 60<<20), 0o600))
	b.request.Transfer.BytesPerSecond = 8 << 20
	// Who may write below the prefix must not have us end the uploads of others.
	s.put(t, "runs/1/.s3populator/runs/run-1/uploads/x.json", []byte(`{"key":"runs/1/foreign"}`))
	foreign, err := (minio.Core{Client: s.client}).NewMultipartUpload(
		t.Context(),
		testBucket,
		"runs/1/foreign",
		minio.PutObjectOptions{},
	)
	mustDo(t, err)
	cmd := b.spawn()
	waitFor(t, time.Minute, "the upload has begun", func() bool { return len(s.uploads(t)) == 2 })
	mustDo(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()

	abort := newExport(t, s.endpoint)
	abort.request.Operation, abort.request.Volume = wire.Abort, wire.Volume{}
	r := abort.mustBeDone(abort.run())
	if diff := cmp.Diff([]string{"runs/1/foreign"}, s.uploads(t)); diff != "" || r.AbortedUploads != 1 {
		t.Errorf("open uploads (-want +got):\n%s\n%+v", diff, r)
	}
	if got := s.keys(t, ""); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
	if r := abort.mustBeDone(abort.run()); r.AbortedUploads != 0 {
		t.Errorf("a second time: %+v", r)
	}
	mustDo(t, (minio.Core{Client: s.client}).AbortMultipartUpload(t.Context(), testBucket, "runs/1/foreign", foreign))
}

// A mover that ends between its note and its upload leaves an upload that no note names.
func TestAnUploadThatNoNoteNames(t *testing.T) {
	eachServer(t, uploadWithoutNote)
}

func uploadWithoutNote(t *testing.T, s *s3server) {
	cut, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p := startProxy(t, s, nil)
	inner := p.Config.Handler
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !r.URL.Query().Has("uploads") {
			inner.ServeHTTP(w, r)
			return
		}
		inner.ServeHTTP(httptest.NewRecorder(), r) // Nobody hears the answer.
		once.Do(func() { close(cut) })
		<-release
	})
	b := newExport(t, p.URL)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 20<<20), 0o600))
	cmd := b.spawn()
	<-cut
	mustDo(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	close(release)
	if got := s.uploads(t); len(got) != 1 {
		t.Fatalf("open uploads: %q", got)
	}
	b.request.Source.Endpoint = s.endpoint
	b.request.Attempt = 2
	b.mustBeDone(b.run())
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("open uploads: %q", got)
	}
}

// A run of the same prefix that ends half-way leaves no manifest that speaks of what it overwrote, and
// the one after it still knows what was there.
func TestAManifestStepsAsideBeforeTheFirstWrite(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "first")
	b.file("b", "first")
	b.settle()
	b.mustBeDone(b.run())
	b.file("a", "second")
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if keyOf(r) == "runs/1/a" && r.Method == http.MethodPut {
			return s3Error(w, http.StatusForbidden, "AccessDenied")
		}
		return false
	})
	b.request.Source.Endpoint, b.request.Export.Run = p.URL, "run-2"
	if r := b.run(); r.Reason != wire.AccessDenied || !strings.Contains(r.Message, "s3:PutObject") {
		t.Errorf("the report is %+v", r)
	}
	kept := s.keys(t, "runs/1/.s3populator/")
	if diff := cmp.Diff([]string{"previous.json", "runs/run-2/begun.json"}, kept); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, report := b.populate(func(r *wire.Request) { r.Source.Endpoint = s.endpoint })
	if report.Reason != wire.SourceChanged || !strings.Contains(report.Message, "under way") {
		t.Errorf("half an export was restored: %+v", report)
	}
	b.request.Source.Endpoint, b.request.Export.Run = s.endpoint, "run-3"
	if r := b.mustBeDone(b.run()); r.SentObjects != 1 || r.UnchangedObjects != 1 {
		t.Errorf("the report is %+v", r)
	}
	// What run-2 had begun is its own; an Abort of it removes it.
	abort := newExport(t, s.endpoint)
	abort.request.Operation, abort.request.Volume, abort.request.Export.Run = wire.Abort, wire.Volume{}, "run-2"
	abort.mustBeDone(abort.run())
	if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/1/.s3populator/")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Its report may be lost: asked again, the run is complete.
	if r := b.mustBeDone(b.run()); r.Objects != 2 || r.SentObjects != 0 || r.ManifestDigest == "" {
		t.Errorf("the report of a complete run is %+v", r)
	}
}
