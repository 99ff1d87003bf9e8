// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/s3populator/s3populator/e2e/csi/fault"
)

// Volumes is what the control socket shows and does about the driver's volumes.
type Volumes interface {
	Volumes(namespace string) ([]fault.Volume, error)
	Snapshots(namespace string) ([]fault.Snapshot, error)
	Devices() ([]string, error)
	Wipe(namespace string) error
	SetCapacity(total int64)
}

// Server answers the control socket.
type Server struct {
	Interceptor *Interceptor
	Volumes     Volumes
	Health      func() fault.Health
}

// Handler routes the requests of fault.Client.
func (s *Server) Handler() http.Handler {
	rules := s.Interceptor.Rules
	mux := http.NewServeMux()
	mux.Handle("GET /health", answer(func(*http.Request) (any, error) { return s.Health(), nil }))
	mux.Handle("GET /rules", answer(func(*http.Request) (any, error) { return rules.List(), nil }))
	mux.Handle("POST /rules", answer(func(r *http.Request) (any, error) {
		var rule fault.Rule
		if err := decode(r, &rule); err != nil {
			return nil, err
		}
		return rules.Add(rule)
	}))
	mux.Handle("DELETE /rules", answer(func(r *http.Request) (any, error) {
		namespace := r.FormValue("namespace")
		return rules.Remove(func(rule fault.Rule) bool { return namespace == "" || rule.Namespace == namespace }), nil
	}))
	mux.Handle("DELETE /rules/{id}", answer(func(r *http.Request) (any, error) {
		id := r.PathValue("id")
		return rules.Remove(func(rule fault.Rule) bool { return rule.ID == id }), nil
	}))
	mux.Handle(
		"GET /calls",
		answer(func(r *http.Request) (any, error) { return s.Interceptor.calls.in(r.FormValue("namespace")), nil }),
	)
	s.routeVolumes(mux)
	return mux
}

func (s *Server) routeVolumes(mux *http.ServeMux) {
	mux.Handle(
		"GET /volumes",
		answer(func(r *http.Request) (any, error) { return s.Volumes.Volumes(r.FormValue("namespace")) }),
	)
	mux.Handle(
		"DELETE /volumes",
		answer(func(r *http.Request) (any, error) { return true, s.Volumes.Wipe(r.FormValue("namespace")) }),
	)
	mux.Handle(
		"GET /snapshots",
		answer(func(r *http.Request) (any, error) { return s.Volumes.Snapshots(r.FormValue("namespace")) }),
	)
	mux.Handle("GET /devices", answer(func(*http.Request) (any, error) { return s.Volumes.Devices() }))
	mux.Handle("PUT /capacity", answer(func(r *http.Request) (any, error) {
		var total int64
		if err := decode(r, &total); err != nil {
			return nil, err
		}
		s.Volumes.SetCapacity(total)
		return total, nil
	}))
}

func decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode request: %w", err)
	}
	return nil
}

// answer turns a function into a handler of JSON. Whoever can reach the socket is a test, so every
// error goes back in full.
func answer(work func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := work(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		content, err := json.Marshal(result)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(content); err != nil {
			return // the test has gone away; there is nobody left to tell.
		}
	})
}
