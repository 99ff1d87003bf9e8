// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Proxy stands between movers and a bucket's server and misbehaves as it is told.
type Proxy struct {
	// Endpoint is for S3Sources.
	Endpoint string

	mu      sync.Mutex
	faults  []*Fault
	fetched int64
}

// Fault is what happens to requests instead of an honest answer.
type Fault struct {
	// Of selects requests; nil takes all.
	Of func(*http.Request) bool
	// Times is how many requests suffer; 0 means all until Behave.
	Times int
	// Do answers the request. honest passes it on.
	Do func(w http.ResponseWriter, r *http.Request, honest http.Handler)

	suffered int
}

// Proxy starts one before a bucket's server.
func (s *Story) Proxy(b *Bucket) *Proxy {
	s.T.Helper()
	target, err := url.Parse(b.Server.Endpoint)
	s.must("parse endpoint", err)
	listener, err := s.World.Node.Listen(s.T.Context())
	s.must("listen inside the node", err)
	honest := &httputil.ReverseProxy{
		// The Host stays: it is signed.
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		Transport:    b.Server.Transport(s.World.Node),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p := &Proxy{Endpoint: "http://" + listener.Addr().String()}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m := p.next(r); m != nil {
				m.Do(w, r, honest)
				return
			}
			if isObject(r) {
				w = &counted{w, p}
			}
			honest.ServeHTTP(w, r)
		}),
	}
	go func() { _ = server.Serve(listener) }()             // ends with Close
	s.last = append(s.last, func() { _ = server.Close() }) // Who still lists a source must not find it away.
	return p
}

// Misbehave adds a fault; the first that applies to a request happens.
func (p *Proxy) Misbehave(m Fault) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &m)
	return &m
}

// Behave ends all faults.
func (p *Proxy) Behave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Suffered is how many requests a fault has hit.
func (p *Proxy) Suffered(m *Fault) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.suffered
}

func (p *Proxy) next(r *http.Request) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.faults {
		if (m.Of == nil || m.Of(r)) && (m.Times == 0 || m.suffered < m.Times) {
			m.suffered++
			return m
		}
	}
	return nil
}

// Fetches selects requests for the content of objects.
func Fetches(r *http.Request) bool { return isObject(r) && r.URL.RawQuery == "" }

func isObject(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Count(strings.Trim(r.URL.Path, "/"), "/") >= 1
}

// Fetched is how many bytes of objects the proxy has passed on. What a mover says of itself proves
// nothing.
func (p *Proxy) Fetched() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetched
}

// counted is an answer whose bytes count.
type counted struct {
	http.ResponseWriter
	proxy *Proxy
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	c.proxy.fetched += int64(n)
	return n, err //nolint:wrapcheck // As an answer without a count.
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Lists selects listings.
func Lists(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2"
}

// SlowDown is what S3 says to those who ask too often.
func SlowDown(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(
		w,
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`,
	)
}

// Reset breaks the connection off without a word.
func Reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // breaks it off as well, a little more politely
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // RST, not FIN
	}
	_ = conn.Close()
}

// Stall answers with half of the content and then says nothing more.
func Stall(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	honest.ServeHTTP(&half{ResponseWriter: w, end: func() { <-r.Context().Done() }}, r)
}

// Cut answers with half of the content and breaks off.
func Cut(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	honest.ServeHTTP(&half{ResponseWriter: w, end: func() { panic(http.ErrAbortHandler) }}, r)
}

// half lets the first half of an answer through.
type half struct {
	http.ResponseWriter
	left int64
	end  func()
}

func (h *half) WriteHeader(code int) {
	if _, err := fmt.Sscan(h.Header().Get("Content-Length"), &h.left); err != nil {
		h.left = 0
	}
	h.left /= 2
	h.ResponseWriter.WriteHeader(code)
}

func (h *half) Write(b []byte) (int, error) {
	if int64(len(b)) < h.left {
		h.left -= int64(len(b))
		return h.ResponseWriter.Write(b)
	}
	n, err := h.ResponseWriter.Write(b[:h.left])
	if err == nil {
		err = http.NewResponseController(h.ResponseWriter).Flush()
	}
	if err == nil {
		h.end()
		err = io.ErrClosedPipe
	}
	return n, err
}
