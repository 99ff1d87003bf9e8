// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestTheAddressOfS3Changes while objects come, and nobody listens at the one before any more: whoever asks for
// the name again finds S3, at the latest with the next attempt.
func TestTheAddressOfS3Changes(t *testing.T) {
	testenv.Root(t)
	t.Parallel()
	n := startNames(t)
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.data(t, 20)
		name := strings.ToLower(engine) + ".s3.test"
		before, after := listenTwice(t)
		var gets, asked atomic.Int64
		var moved sync.Once
		first := httptest.NewUnstartedServer(nil)
		serveAt(t, first, before, forward(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if isGet(r, "") && gets.Add(1) > 5 { // Of more than twenty.
				moved.Do(func() {
					n.set(name, addressOf(after))
					_ = first.Config.Close()
				})
				panic(http.ErrAbortHandler)
			}
			return false
		}))
		serveAt(t, httptest.NewUnstartedServer(nil), after, forward(t, s, func(http.ResponseWriter, *http.Request) bool {
			asked.Add(1)
			return false
		}))
		n.set(name, addressOf(before))
		_, port, _ := net.SplitHostPort(before.Addr().String())
		a := newAttempt(t, engine, net.JoinHostPort(name, port))
		a.request.Source.Addressing = "Path"
		if r := a.live(); r.Class != wire.Done {
			a.mustEnd(r, wire.EndpointUnreachable)
			if r = a.live(); r.Class != wire.Done {
				t.Errorf("with its new address the report is %+v", r)
			}
		}
		a.mustHold(want)
		if asked.Load() == 0 {
			t.Error("nobody has asked at the new address")
		}
	})
}

// live is an attempt by a process, which has looked up no name before.
func (a *attempt) live() wire.Report {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "report")
	_ = a.spawn(file).Wait()
	r, err := readReport(file)
	if err != nil {
		a.t.Fatal(err)
	}
	a.request.Attempt++
	a.request.Volume.Began = a.request.Volume.Began || r.Began
	return r
}

// listenTwice takes one port of two addresses.
func listenTwice(t testing.TB) (before, after net.Listener) {
	t.Helper()
	for range 20 {
		before, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(before.Addr().String())
		if after, err := net.Listen("tcp", net.JoinHostPort("127.0.0.3", port)); err == nil {
			return before, after
		}
		_ = before.Close()
	}
	t.Fatal("no port is free at two addresses")
	return nil, nil
}

func addressOf(l net.Listener) [4]byte {
	a, _ := l.Addr().(*net.TCPAddr)
	return [4]byte(a.IP.To4())
}

// serveAt starts a server at a listener, until the end of the test.
func serveAt(t testing.TB, h *httptest.Server, l net.Listener, handler http.Handler) {
	t.Helper()
	_ = h.Listener.Close()
	h.Listener, h.Config.Handler, h.Config.ErrorLog = l, handler, log.New(io.Discard, "", 0)
	h.Start()
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
}
