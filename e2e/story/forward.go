// SPDX-License-Identifier: Apache-2.0

package story

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ForwardProxy is one that movers may be told of by HTTPS_PROXY.
type ForwardProxy struct {
	URL string

	mu    sync.Mutex
	hosts []string
}

// ForwardProxy starts one inside the node.
func (s *Story) ForwardProxy() *ForwardProxy {
	s.T.Helper()
	listener, err := s.World.Node.Listen(s.T.Context())
	s.must("listen inside the node", err)
	p := &ForwardProxy{URL: "http://" + listener.Addr().String()}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			p.mu.Lock()
			p.hosts = append(p.hosts, r.Host)
			p.mu.Unlock()
			s.World.tunnel(w, r)
		}),
	}
	go func() { _ = server.Serve(listener) }() // ends with Close
	s.last = append(s.last, func() { _ = server.Close() })
	return p
}

// Hosts are those that were asked for, each once.
func (p *ForwardProxy) Hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(p.hosts)))
}

// tunnel joins a client to the host that it asks for until one of them ends.
func (w *World) tunnel(rw http.ResponseWriter, r *http.Request) {
	there, err := w.Node.Dial(r.Context(), "tcp", r.Host)
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	if _, err := io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(there, buffered); done <- struct{}{} }()
	go func() { _, _ = io.Copy(here, there); done <- struct{}{} }()
	<-done
}
