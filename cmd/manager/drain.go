// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	admissionserver "sigs.k8s.io/controller-runtime/pkg/webhook"
)

// drain is how a replica ends without refusing anybody. Kubernetes sends the signal to
// end and takes the pod out of its Service at the same time, so that API servers go on
// calling for a while, on connections that they have and on new ones.
//
// From the signal on, each answer ends its connection, and the client opens the next one
// where the Service leads it: to close one only when the server stops may meet a request
// that is just being sent. The server stops when nobody has come for a while; then the
// Service has forgotten this replica.
type drain struct {
	signalled context.Context //nolint:containedctx // It is the signal.
	quiet     time.Duration   // For so long nobody must have come.
	longest   time.Duration   // After the signal; the pod is killed not long after.
	last      atomic.Int64    // Nanoseconds since 1970, of the last request.
}

// server registers handlers that take part.
type server struct {
	admissionserver.Server

	drain  *drain
	limits map[string]*limits
}

// Register wraps the handler of a path.
func (s server) Register(path string, hook http.Handler) {
	if l := s.limits[path]; l != nil {
		hook = l.wrap(hook)
	}
	s.Server.Register(path, s.drain.wrap(hook))
}

func (f *drain) wrap(hook http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.last.Store(time.Now().UnixNano())
		if f.signalled.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		hook.ServeHTTP(w, r)
	})
}

// context ends when the server may stop.
func (f *drain) context() context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.signalled))
	context.AfterFunc(f.signalled, func() {
		defer cancel()
		began := time.Now()
		for {
			now := time.Now()
			left := min(f.quiet-now.Sub(f.since(began)), f.longest-now.Sub(began))
			if left <= 0 {
				return
			}
			time.Sleep(left)
		}
	})
	return ctx
}

// since is the later of the signal and the last request.
func (f *drain) since(began time.Time) time.Time {
	if last := time.Unix(0, f.last.Load()); last.After(began) {
		return last
	}
	return began
}
