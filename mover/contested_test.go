// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// contest makes mc's mirror replace a large file while its stream is under way: mc copies what
// is newer than the file. The stream, which began with the old object, ends last, on a file
// that has no name any more.
type contest struct {
	s      *s3server
	object []byte // As it was listed.
	// list answers mc's listing once the stream has begun, and copy its copy of the object.
	list, copy func(w http.ResponseWriter, r *http.Request) bool

	gets  atomic.Int64
	begun chan struct{}
	taken chan struct{}
	once  sync.Once
}

func (c *contest) fault(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	switch {
	case q.Has("list-type") && q.Get("prefix") == "" && bytes.Contains([]byte(r.UserAgent()), []byte("mc/")):
		<-c.begun
		return c.list(w, r)
	case r.Method != http.MethodGet || keyOf(r) != "large":
		return false
	}
	switch c.gets.Add(1) {
	case 1: // The stream.
		close(c.begun)
		select {
		case <-c.taken:
			time.Sleep(2 * time.Second) //nolint:forbidigo // Until mc has ended, and what it wrote was looked at.
		case <-time.After(20 * time.Second):
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(c.object)))
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		_, _ = w.Write(c.object)
		return true
	case 2: // The mirror.
		defer c.once.Do(func() { close(c.taken) })
		return c.copy(w, r)
	}
	return false
}

func startContest(t *testing.T) (c *contest, b *bench, others map[string][]byte) {
	forceMirror(t)
	s := startVersity(t)
	c = &contest{s: s, object: content(1, plan.LargeSize+5), begun: make(chan struct{}), taken: make(chan struct{})}
	want := small(t, s, 5)
	s.put(t, "large", c.object)
	return c, newBench(t, startProxy(t, s, c.fault).URL), want
}

// TestALargeFileThatMCReplaces by another version of the object, which has the same size.
func TestALargeFileThatMCReplaces(t *testing.T) {
	onlyMC(t)
	c, b, _ := startContest(t)
	other := content(9, len(c.object))
	c.list = func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(1100 * time.Millisecond) //nolint:forbidigo // S3 tells whole seconds.
		c.s.put(t, "large", other)
		return false
	}
	c.copy = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(len(other)))
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = w.Write(other)
		return true
	}
	r := b.run()
	if c.gets.Load() < 2 {
		t.Fatal("mc did not replace the file")
	}
	if r.Reason != wire.SourceChanged {
		t.Errorf("report is %+v, want SourceChanged", r)
	}
	if got, _ := os.ReadFile(b.paths.Volume + "/large"); r.Class == wire.Done && !bytes.Equal(got, c.object) {
		t.Error("the volume is done and holds what was not listed")
	}
}

// TestALargeFileThatMCDamages: S3's clock is ahead, and mc's copy arrives with other bytes.
func TestALargeFileThatMCDamages(t *testing.T) {
	c, b, want := startContest(t)
	c.list = func(w http.ResponseWriter, r *http.Request) bool { return newer(t, c.s, w, r) }
	c.copy = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(len(c.object)))
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = w.Write(make([]byte, len(c.object)))
		return true
	}
	b.mustBeDone(b.run())
	if c.gets.Load() < 2 {
		t.Fatal("mc did not replace the file")
	}
	want["large"] = c.object
	b.mustHold(want)
}

// TestALargeFileThatNobodyCompletes: S3's clock is ahead, so that mc copies the file that a stream
// has begun. Both break off, and the file has its size from the start.
func TestALargeFileThatNobodyCompletes(t *testing.T) {
	forceMirror(t)
	s := startVersity(t)
	object := content(1, plan.LargeSize+5)
	want := small(t, s, 5)
	s.put(t, "large", object)
	streaming := make(chan struct{})
	var once sync.Once
	var gets, sound atomic.Int64
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		switch {
		case q.Has("list-type") && q.Get("prefix") == "" && strings.Contains(r.UserAgent(), "mc/") && sound.Load() == 0:
			<-streaming
			return newer(t, s, w, r)
		case r.Method != http.MethodGet || keyOf(r) != "large" || sound.Load() > 0:
			return false
		}
		gets.Add(1)
		once.Do(func() { close(streaming) })
		w.Header().Set("Content-Length", strconv.Itoa(len(object)))
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("ETag", `"00000000000000000000000000000000"`)
		_, _ = w.Write(object[:len(object)/2])
		panic(http.ErrAbortHandler)
	})
	b := newBench(t, p.URL)
	b.request.Transfer.Verify = proof.VerifySize
	want["large"] = object
	if r := b.run(); r.Class == wire.Done {
		b.mustHold(want)
		t.Errorf("report is %+v after %d answers that broke off", r, gets.Load())
	}
	sound.Add(1)
	b.request.Attempt = 2
	b.mustBeDone(b.run())
	b.mustHold(want)
}

var stamp = regexp.MustCompile(`<LastModified>[^<]*<`)

// newer passes a listing on whose objects are younger than any file.
func newer(t *testing.T, s *s3server, w http.ResponseWriter, r *http.Request) bool {
	answer := httptest.NewRecorder()
	passOn(t, s, answer, r)
	text, _ := io.ReadAll(answer.Body)
	_, _ = w.Write(stamp.ReplaceAll(text, []byte("<LastModified>2030-01-01T00:00:00Z<")))
	return true
}

func passOn(t *testing.T, s *s3server, w http.ResponseWriter, r *http.Request) {
	request := r.Clone(t.Context())
	request.RequestURI, request.URL.Scheme, request.URL.Host = "", "http", s.endpoint[len("http://"):]
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(w, response.Body)
}
