// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// object of a server that tests make up.
type object struct {
	body    []byte
	tag     string
	headers map[string]string
}

// handler is an S3 server that gives objects, and a fault where a test wants one.
type handler struct {
	mu      sync.Mutex
	objects map[string]object
	// fault may answer in place of the handler; count is the number of this request.
	fault    func(w http.ResponseWriter, r *http.Request, count int) bool
	requests atomic.Int64
	inFlight atomic.Int64
	most     atomic.Int64
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := h.requests.Add(1)
	now := h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	for m := h.most.Load(); now > m && !h.most.CompareAndSwap(m, now); m = h.most.Load() {
	}
	h.mu.Lock()
	o, ok := h.objects[strings.TrimPrefix(r.URL.Path, "/bucket/")]
	fault := h.fault
	h.mu.Unlock()
	if fault != nil && fault(w, r, int(n)) {
		return
	}
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != `"`+o.tag+`"`:
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		o.give(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

func (o object) give(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"`+o.tag+`"`)
	if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		for k, v := range o.headers {
			w.Header().Set(k, v)
		}
	}
	from, to := 0, len(o.body)
	status := http.StatusOK
	if text := r.Header.Get("Range"); text != "" {
		_, _ = fmt.Sscanf(text, "bytes=%d-%d", &from, &to)
		to++
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(o.body)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(o.body[from:to])
	}
}

// fixture is an engine, its server, its target and what its sink was told.
type fixture struct {
	*handler

	t      *testing.T
	config Config
	tasks  []engine.Task
	server *httptest.Server

	mu     sync.Mutex
	files  map[string]*memory
	got    map[int]engine.Evidence
	failed map[int]error
	wrote  map[int]int64
	fatal  func(error) error
}

// newFixtureOf has no server.
func newFixtureOf(t *testing.T) *fixture {
	t.Helper()
	return &fixture{
		handler: &handler{objects: map[string]object{}}, t: t,
		files: map[string]*memory{}, got: map[int]engine.Evidence{}, failed: map[int]error{}, wrote: map[int]int64{},
	}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixtureOf(t)
	f.server = httptest.NewServer(f.handler)
	t.Cleanup(f.server.Close)
	f.config = Config{
		Bucket: f.bucket(), Region: "us-east-1", Idle: 2 * time.Second, Pause: time.Millisecond,
		Keys: func(context.Context) (Keys, error) { return Keys{Access: "a", Secret: "s"}, nil },
	}
	return f
}

func (f *fixture) bucket() *url.URL {
	u, err := url.Parse(f.server.URL + "/bucket")
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

// random bytes, the same for the same seed.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// put adds an object and the task of fetching it.
func (f *fixture) put(key string, body []byte, headers map[string]string) *engine.Task {
	sum := md5.Sum(body)
	o := object{body: body, tag: hex.EncodeToString(sum[:]), headers: headers}
	f.handler.mu.Lock()
	f.objects[key] = o
	f.handler.mu.Unlock()
	f.tasks = append(f.tasks, engine.Task{Index: len(f.tasks), Key: key, Path: key, ETag: o.tag, Size: int64(len(body))})
	return &f.tasks[len(f.tasks)-1]
}

func withCRC(body []byte) map[string]string {
	sum := sumOf(engine.CRC64NVME, update(engine.CRC64NVME, 0, body))
	return map[string]string{
		"x-amz-checksum-crc64nvme": base64.StdEncoding.EncodeToString(sum.Value[:8]),
		"x-amz-checksum-type":      "FULL_OBJECT",
	}
}

func (f *fixture) run(ctx context.Context) error {
	f.t.Helper()
	e := New(f.config)
	defer e.Close()
	return e.Fetch(ctx, slices.Values(f.tasks), f, f)
}

func (f *fixture) mustRun() {
	f.t.Helper()
	if err := f.run(f.t.Context()); err != nil {
		f.t.Fatalf("Fetch: %v", err)
	}
	if n := len(f.got) + len(f.failed); n != len(f.tasks) {
		f.t.Fatalf("the sink was told of %d of %d tasks", n, len(f.tasks))
	}
}

// mustHold checks that all arrived, with the bytes and the right sums.
func (f *fixture) mustHold() {
	f.t.Helper()
	for i, err := range f.failed {
		f.t.Errorf("%s failed: %v", f.tasks[i].Key, err)
	}
	for _, t := range f.tasks {
		file := f.files[t.Path]
		if file == nil || !file.committed || !bytes.Equal(file.data, f.objects[t.Key].body) {
			f.t.Errorf("%s: its file is not the object", t.Key)
		}
		e := f.got[t.Index]
		if want := f.wantSum(t, e); e.Received != want {
			f.t.Errorf("%s: received %+v, want %+v", t.Key, e.Received, want)
		}
		missing := t.Size
		for _, r := range t.Present {
			missing -= r.Length
		}
		if n := f.wrote[t.Index]; n != missing || e.Fetched != n {
			f.t.Errorf("%s: the sink was told of %d bytes and then of %d, want %d", t.Key, n, e.Fetched, missing)
		}
	}
}

// wantSum is the sum of the object by the algorithm that was chosen, computed at once.
func (f *fixture) wantSum(t engine.Task, e engine.Evidence) engine.Sum {
	var s summer
	s.begin(e.Received.Algorithm, e.Received.PartSize, t.Size)
	s.write(f.objects[t.Key].body)
	return s.end()
}

// memory is a file.
type memory struct {
	f         *fixture
	mu        sync.Mutex
	data      []byte
	writeErr  error
	committed bool
	ended     bool
}

func (f *fixture) Create(t engine.Task) (engine.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.files[t.Path]
	if m == nil {
		m = &memory{f: f, data: make([]byte, t.Size)}
		f.files[t.Path] = m
	}
	m.ended = false
	return m, nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writeErr != nil {
		return 0, m.writeErr
	}
	if m.ended {
		return 0, errors.New("written after its end")
	}
	return copy(m.data[at:], p), nil
}

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(p, m.data[at:]), nil
}

func (m *memory) Commit() (engine.Identity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.committed, m.ended = true, true
	return engine.Identity{Inode: 1, Size: int64(len(m.data))}, nil
}

func (m *memory) Abandon() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
}

func (f *fixture) Arrived(e engine.Evidence) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got[e.Index] = e
}

func (f *fixture) Failed(i int, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed[i] = err
	if f.fatal != nil {
		return f.fatal(err)
	}
	return nil
}

func (f *fixture) Wrote(i int, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrote[i] += n
}

func (f *fixture) Grew(int, engine.Range, uint64) {}
