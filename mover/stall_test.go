// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestAStallIsNoticed holds one object's body back for ever.
func TestAStallIsNoticed(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 5)
		var stalls atomic.Int64
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || keyOf(r) != "dir/o003" || stalls.Add(1) > 1 {
				return false
			}
			w.Header().Set("Content-Length", "2003")
			w.Header().Set("ETag", tagOf(r))
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		})
		b := newBench(t, p.URL)
		b.options.IdleTimeout = 4 * time.Second // More than a busy machine takes to go on.
		b.mustBeDone(b.run())
		b.mustHold(want)
	})
}

func TestASignalKeepsWhatIsVerified(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 30)
		ctx, stop := context.WithCancelCause(t.Context())
		hold := make(chan struct{})
		var held atomic.Bool
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && keyOf(r) == "dir/o029" && !held.Swap(true) {
				<-hold
			}
			return false
		})
		t.Cleanup(func() { close(hold) })
		b := newBench(t, p.URL)
		if fewFiles > 0 {
			b.request.Transfer.Parallelism = 1 // In order, so that the held object is the last.
		}
		first := make(chan wire.Report, 1)
		go func() { first <- b.runContext(ctx) }()
		waitFor(t, time.Minute, "all other files are there, and the last one is asked for", func() bool {
			return held.Load() && b.holdsAllBut("dir/o029", want)
		})
		stop(fault.ErrTerminated)
		if r := <-first; r.Class != wire.RetryUncounted || r.Reason != wire.Interrupted {
			t.Fatalf("report is %+v", r)
		}
		if _, err := os.Stat(filepath.Join(b.paths.Volume, ledger.JournalName)); err != nil {
			t.Errorf("journal: %v", err)
		}
		before := p.sent.Load()
		b.mustBeDone(b.run())
		b.mustHold(want)
		if again := p.sent.Load() - before; again > totalSize(want)/2 {
			t.Errorf("%d of %d bytes were fetched again", again, totalSize(want))
		}
	})
}

// holdsAllBut tells whether the volume has every file but one.
func (b *bench) holdsAllBut(name string, want map[string][]byte) bool {
	for n, text := range want {
		if got, err := os.ReadFile(filepath.Join(b.paths.Volume, n)); n != name && (err != nil || !bytes.Equal(got, text)) {
			return false
		}
	}
	return true
}

func TestNothingListensThere(t *testing.T) {
	b := newBench(t, "http://127.0.0.1:"+deafPort(t))
	b.options.MC = "/nonexistent"
	if r := b.run(); r.Reason != wire.EndpointUnreachable || r.Class != wire.RetryUncounted ||
		!strings.Contains(r.Message, "spec.endpoint") {
		t.Errorf("report is %+v", r)
	}
}

// TestMissingMCIsSaid by whom it concerns: the engine of our own does without it.
func TestMissingMCIsSaid(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("a"))
	b := newBench(t, s.endpoint)
	b.options.MC = "/nonexistent/mc"
	if r := b.run(); (r.Class == wire.Done) != isNative() || !isNative() && !strings.Contains(r.Message, "mc") {
		t.Errorf("report is %+v", r)
	}
}

// fillOnce takes room on a volume as soon as the first object is asked for.
func fillOnce(t *testing.T, file string, size int) func(http.ResponseWriter, *http.Request) bool {
	var once sync.Once
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if keyOf(r) != "" {
			once.Do(func() {
				if err := os.WriteFile(file, make([]byte, size), 0o600); !errors.Is(err, unix.ENOSPC) {
					t.Errorf("the volume was meant to run full: %v", err)
				}
			})
		}
		return false
	}
}
