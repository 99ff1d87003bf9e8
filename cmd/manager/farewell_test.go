// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionserver "sigs.k8s.io/controller-runtime/pkg/webhook"
)

// From the signal to end on, no client is left with a connection that it might use again.
func TestFarewell(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	ending := make(chan struct{})
	f := farewell{Server: &admissionserver.DefaultServer{Options: admissionserver.Options{WebhookMux: mux}}, ending: ending}
	f.Register("/claims", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reviewed") }))
	server := httptest.NewServer(mux)
	defer server.Close()
	closes := func() bool {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/claims", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
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
	close(ending)
	if !closes() {
		t.Error("a connection stays open while the server is about to end")
	}
}
