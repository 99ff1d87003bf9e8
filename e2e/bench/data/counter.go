// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// counter stands before a server and counts the bytes of objects that it sends.
type counter struct {
	*httptest.Server

	sent    atomic.Int64
	reached chan struct{} // Closed once the limit is.
	// release lets go on what is held from then on: whoever is to be killed at the limit gets no further.
	release func()
}

func startCounter(s *server, limit int64) (*counter, error) {
	target, err := url.Parse(s.url())
	if err != nil {
		return nil, fmt.Errorf("parse the server's address: %w", err)
	}
	released := make(chan struct{})
	c := &counter{reached: make(chan struct{}), release: sync.OnceFunc(func() { close(released) })}
	var once sync.Once
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // It is part of the signature.
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if r.Method == http.MethodGet && key != "" {
			w = &countingWriter{ResponseWriter: w, count: func(n int) {
				if c.sent.Add(int64(n)) >= limit {
					once.Do(func() { close(c.reached) })
					<-released
				}
			}}
		}
		forward.ServeHTTP(w, r)
	}))
	return c, nil
}

type countingWriter struct {
	http.ResponseWriter

	count func(int)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.count(n)
	return n, err
}
