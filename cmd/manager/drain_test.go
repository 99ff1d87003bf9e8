// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionserver "sigs.k8s.io/controller-runtime/pkg/webhook"
)

// From the signal on, no client is left with a connection that it might use again.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	signalled, signal := context.WithCancel(t.Context())
	s := server{
		Server: &admissionserver.DefaultServer{Options: admissionserver.Options{WebhookMux: mux}},
		drain:  &drain{signalled: signalled},
	}
	s.Register(
		"/claims",
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reviewed") }),
	)
	listening := httptest.NewServer(mux)
	defer listening.Close()
	closes := func() bool {
		t.Helper()
		request, err := http.NewRequestWithContext(
			t.Context(),
			http.MethodPost,
			listening.URL+"/claims",
			strings.NewReader("{}"),
		)
		if err != nil {
			t.Fatal(err)
		}
		response, err := listening.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != "reviewed" {
			t.Fatalf("it answers %q (%v)", text, err)
		}
		return response.Close
	}
	if closes() {
		t.Error("a connection is closed while nothing ends")
	}
	signal()
	if !closes() {
		t.Error("a connection stays open while the server is about to end")
	}
}

// The server stops once nobody has come for a while, and in time before it is killed.
func TestFarewell(t *testing.T) {
	cases := map[string]struct {
		visits []time.Duration // After the signal.
		want   time.Duration
	}{
		"nobody comes":   {want: 5 * time.Second},
		"somebody comes": {visits: []time.Duration{3 * time.Second}, want: 8 * time.Second},
		"they come and come": {
			visits: []time.Duration{4 * time.Second, 8 * time.Second, 12 * time.Second, 16 * time.Second},
			want:   20 * time.Second,
		},
		"somebody was earlier": {visits: []time.Duration{-time.Second}, want: 5 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signalled, signal := context.WithCancel(t.Context())
				f := &drain{signalled: signalled, quiet: 5 * time.Second, longest: 20 * time.Second}
				visit := f.wrap(http.NotFoundHandler())
				ctx := f.context()
				time.Sleep(time.Hour)
				began := time.Now()
				time.AfterFunc(0, signal)
				for _, at := range c.visits {
					time.AfterFunc(at, func() {
						visit.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/claims", http.NoBody))
					})
				}
				<-ctx.Done()
				if took := time.Since(began); took != c.want {
					t.Errorf("it stops after %s, want %s", took, c.want)
				}
			})
		})
	}
}
