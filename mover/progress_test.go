// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// manager is the other end of progress messages.
type manager struct {
	*httptest.Server

	mu        sync.Mutex
	snapshots []wire.Snapshot
	tokens    map[string]bool
	calls     atomic.Int64
}

func startManager(t *testing.T, status int) *manager {
	t.Helper()
	m := &manager{tokens: map[string]bool{}}
	m.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		s, err := wire.ParseSnapshot(body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != wire.ProgressPath {
			t.Errorf("%s %s: %s: %v", r.Method, r.URL.Path, body, err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.snapshots = append(m.snapshots, s)
		m.tokens[r.Header.Get("Authorization")] = true
		w.WriteHeader(status)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *manager) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw}))
}

func TestProgressIsSent(t *testing.T) {
	m := startManager(t, http.StatusNoContent)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "first\n")
	p, err := newProgress(wire.Progress{URL: m.URL, CABundle: m.ca()}, token)
	if err != nil {
		t.Fatal(err)
	}
	listing, err := planOf(t, wire.Request{Operation: wire.Populate},
		listed{key: "a", size: 10}, listed{key: "b", size: 30})
	if err != nil {
		t.Fatal(err)
	}
	p.listed(2)
	started := time.Now()
	stop := p.background(t.Context())
	defer stop()
	waitFor(t, time.Minute, "the first message", func() bool { return m.calls.Load() >= 1 })
	if early := time.Since(started); early < progressFirst {
		t.Errorf("the first message came after %s", early)
	}
	l := ledger.New(listing)
	p.ledger.Store(l)
	p.enter(wire.Transferring)
	l.Verified(0, proof.ByMD5, plan.Identity{}, false)
	write(t, token, "second")
	p.inFlight.Add(7)
	// A slow machine may send one more message at any moment before.
	want := wire.Snapshot{Phase: wire.Transferring, ObjectsDone: 1, ObjectsTotal: 2, BytesDone: 17, BytesTotal: 40}
	waitFor(t, time.Minute, "a message that tells all of this", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.Contains(m.snapshots, want)
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if got := m.snapshots[0]; got != (wire.Snapshot{Phase: wire.Listing, ObjectsDone: 2}) {
		t.Errorf("the first message is %+v", got)
	}
	if !m.tokens["Bearer first"] || !m.tokens["Bearer second"] {
		t.Errorf("tokens are %v, want the one of each moment", m.tokens)
	}
}

func TestProgressTrustsOnlyItsCA(t *testing.T) {
	m, other := startManager(t, http.StatusOK), startManager(t, http.StatusOK)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "token")
	ca, _, _ := authority(t, time.Now().Add(time.Hour), "127.0.0.1")
	p, err := newProgress(wire.Progress{URL: m.URL, CABundle: string(ca)}, token)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.send(t.Context(), wire.Snapshot{Phase: wire.Listing}); err == nil || m.calls.Load() > 0 ||
		other.calls.Load() > 0 {
		t.Errorf("a message reached an endpoint of another CA (%v)", err)
	}
}

// TestProgressNeverDisturbs runs transfers against managers that are broken in
// several ways.
func TestProgressNeverDisturbs(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("a"))
	m := startManager(t, http.StatusInternalServerError)
	for name, p := range map[string]wire.Progress{
		"an endpoint that fails":   {URL: m.URL, CABundle: m.ca()},
		"an endpoint that is gone": {URL: "https://127.0.0.1:" + deafPort(t), CABundle: m.ca()},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			b.request.Progress = p
			write(t, b.paths.ProgressToken, "token")
			b.mustBeDone(b.run())
		})
	}
}

func TestProgressEndsWithItsContext(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); s.Close() })
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "token")
	p, err := newProgress(wire.Progress{URL: s.URL, CABundle: (&manager{Server: s}).ca()}, token)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := p.background(ctx)
	cancel()
	done := make(chan struct{})
	go func() { stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a hanging endpoint holds the mover up")
	}
}

func TestRate(t *testing.T) {
	var p progress
	start := time.Unix(0, 0)
	for i, want := range []int64{0, 100, 100, 150} {
		bytes := []int64{0, 100, 200, 450}[i]
		if got := p.rate(sample{at: start.Add(time.Duration(i) * time.Second), bytes: bytes}); got != want {
			t.Errorf("rate %d is %d, want %d", i, got, want)
		}
	}
}

// The manager says how often it wants to be told, within bounds.
func TestProgressIsSentAsOftenAsAsked(t *testing.T) {
	for asked, want := range map[string]time.Duration{
		"": progressEvery, "soon": progressEvery, "-1": progressEvery, "1": progressEvery,
		"20": 20 * time.Second, "99999999": progressRarest,
	} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(wire.ProgressEvery, asked)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		t.Cleanup(s.Close)
		token := filepath.Join(t.TempDir(), "token")
		write(t, token, "token")
		p, err := newProgress(wire.Progress{URL: s.URL, CABundle: (&manager{Server: s}).ca()}, token)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.send(t.Context(), wire.Snapshot{Phase: wire.Listing}); err == nil || p.every != want {
			t.Errorf("asked for %q: every %s, want %s (%v)", asked, p.every, want, err)
		}
	}
}
