// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	admissionserver "sigs.k8s.io/controller-runtime/pkg/webhook"
)

// farewell is a webhook server that says good-bye: from the signal to end on, each answer
// ends its connection, and the client opens the next one where the Service leads it. API
// servers keep connections for minutes. Closing one only when the server stops may meet a
// request that is just being sent, which then fails, and with it a claim.
type farewell struct {
	admissionserver.Server

	ending <-chan struct{}
}

// Register wraps the handler of a path.
func (f farewell) Register(path string, hook http.Handler) {
	f.Server.Register(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-f.ending:
			w.Header().Set("Connection", "close")
		default:
		}
		hook.ServeHTTP(w, r)
	}))
}
