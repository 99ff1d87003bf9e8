// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
)

const (
	hugeKey  = "huge/object.bin"
	hugeSize = 96<<20 + 1 // Both engines note several times how much of it is there.
	// portion of it that a gate lets pass beyond what is noted.
	portion = 48 << 20
	// noticed is how much of a portion the journal knows of in the end, whichever engine runs.
	noticed = ledger.PartialStep
	// patience is for what comes in seconds where nothing else runs.
	patience = 3 * time.Minute
)

// huge is small objects and one of which two portions are not enough.
func (s *server) huge(t testing.TB) map[string][]byte {
	t.Helper()
	out := s.small(t, 10)
	out[hugeKey] = content(1<<15, hugeSize)
	s.put(t, hugeKey, out[hugeKey], minio.PutObjectOptions{PartSize: 8 << 20, SendContentMd5: true})
	return out
}

func totalSize(objects map[string][]byte) (sum int64) {
	for _, text := range objects {
		sum += int64(len(text))
	}
	return sum
}

// noted is how much of the huge object the journal on the volume knows of.
func (a *attempt) noted() int64 {
	var x ledger.Extents
	text, _ := os.ReadFile(filepath.Join(a.options.Paths.Volume, ledger.JournalName))
	for line := range bytes.Lines(text) {
		l, ok := ledger.ParseJournalled(bytes.TrimSuffix(line, []byte("\n")))
		if ok && l.Path == hugeKey && l.By == plan.Unverified {
			x = x.With(plan.Range{Offset: l.Offset, Length: l.Size})
		}
	}
	return x.Bytes()
}

// gate stands before a server and lets pass the bytes of the huge object that lie before its limit. Who asks for
// others waits until one of them hangs up. Once it is shut, whoever asks for anything is hung up on.
type gate struct {
	mutex  sync.Mutex
	limit  int64
	passed int64         // Bytes of the object, in all.
	shut   chan struct{} // Closed while nobody gets an answer.
}

// startGate returns a gate, and its address.
func startGate(t testing.TB, s *server, limit int64) (*gate, string) {
	t.Helper()
	g := &gate{limit: limit, shut: make(chan struct{})}
	return g, startHandler(t, s, g.answer)
}

func (g *gate) close() { close(g.closed()) }

// open lets pass what lies before a limit, to whoever asks from now on.
func (g *gate) open(limit int64) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.limit = limit
	select {
	case <-g.shut:
		g.shut = make(chan struct{})
	default:
	}
}

func (g *gate) closed() chan struct{} {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.shut
}

// total is how many bytes of the object have passed.
func (g *gate) total() int64 {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.passed
}

func (g *gate) answer(_ http.ResponseWriter, r *http.Request) bool {
	select {
	case <-g.closed():
		panic(http.ErrAbortHandler)
	default:
	}
	if isGet(r, hugeKey) {
		*r = *r.WithContext(context.WithValue(r.Context(), changeKey{}, g.hold))
	}
	return false
}

// hold is what becomes of an answer with the object, or with a range of it.
func (g *gate) hold(res *http.Response) {
	from := int64(0)
	_, _ = fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-", &from)
	res.Body = &heldBody{
		ReadCloser: res.Body, gate: g, at: from, end: from + res.ContentLength,
		gone: res.Request.Context().Done(), shut: g.closed(),
	}
}

// heldBody ends where its gate does.
type heldBody struct {
	io.ReadCloser

	gate       *gate
	at, end    int64
	gone, shut <-chan struct{}
}

func (b *heldBody) Read(p []byte) (int, error) {
	n := b.gate.room(b.at, len(p))
	if n == 0 && b.at < b.end {
		select {
		case <-b.gone:
		case <-b.shut:
		}
		return 0, io.ErrUnexpectedEOF
	}
	if b.at < b.end {
		p = p[:n]
	}
	n, err := b.ReadCloser.Read(p)
	b.at += int64(n)
	b.gate.mutex.Lock()
	defer b.gate.mutex.Unlock()
	b.gate.passed += int64(n)
	return n, err
}

// room is how many bytes may pass from an offset on, n at most.
func (g *gate) room(at int64, n int) int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return int(min(max(g.limit-at, 0), int64(n)))
}
