// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

var (
	loadFor  = flag.Duration("load", 0, "measure the server for so long, and print the result as one JSON object")
	loadRate = flag.Int("load-rate", 500, "reviews per second to measure with")
)

// measured is what `-load` prints.
type measured struct {
	HandlerMicros float64 `json:"handler_us"`
	HandlerBytes  int64   `json:"handler_bytes"`
	P99Millis     float64 `json:"p99_ms"`
	Rate          float64 `json:"rate"`
}

// The promise of docs/operations.md; -load fails beyond it.
const (
	mostHandlerMicros = 100
	mostHandlerBytes  = 64 << 10
	mostP99Millis     = 10
)

// TestLoad reviews at a steady rate over loopback TLS, as an API server does: all on few
// connections, each begun on time whether or not earlier ones have ended.
func TestLoad(t *testing.T) {
	if *loadFor == 0 {
		t.Skip("a measurement: run it with -load=10s on an idle machine")
	}
	r := load(t, "testdata/auto-size.in.yaml")
	handler := testing.Benchmark(func(b *testing.B) {
		claims := r.claims()
		for b.Loop() {
			claims.Handle(b.Context(), r.request)
		}
	})
	m := measured{HandlerMicros: float64(handler.NsPerOp()) / 1e3, HandlerBytes: handler.AllocedBytesPerOp()}
	latencies, rate := drive(t, r)
	slices.Sort(latencies)
	m.Rate = rate
	m.P99Millis = float64(latencies[len(latencies)*99/100].Microseconds()) / 1e3
	if m.HandlerMicros > mostHandlerMicros || m.HandlerBytes > mostHandlerBytes || m.P99Millis > mostP99Millis ||
		rate < 0.98*float64(*loadRate) {
		t.Errorf(
			"%+v is beyond %d us, %d bytes, %d ms or below %d reviews/s",
			m,
			mostHandlerMicros,
			mostHandlerBytes,
			mostP99Millis,
			*loadRate,
		)
	}
	line, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, string(line))
}

// drive sends reviews and returns how long each took, and how many there were in a second.
func drive(t *testing.T, r reviewed) ([]time.Duration, float64) {
	t.Helper()
	pair, bundle := servingPair(t)
	server := httptest.NewUnstartedServer(&admission.Webhook{Handler: r.claims()})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			RootCAs:    pool,
			ServerName: "s3populator." + ownNamespace + ".svc",
			MinVersion: tls.VersionTLS13,
		},
	}}
	body, err := json.Marshal(review(r))
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu        sync.Mutex
		latencies []time.Duration
		wait      sync.WaitGroup
	)
	tick := time.NewTicker(time.Second / time.Duration(*loadRate))
	defer tick.Stop()
	begin := time.Now()
	for due := begin; due.Sub(begin) < *loadFor; due = <-tick.C {
		wait.Go(func() {
			if err := send(t.Context(), client, server.URL, body); err != nil {
				t.Error(err)
			}
			took := time.Since(due) // Waiting for its turn counts.
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, took)
		})
	}
	wait.Wait()
	return latencies, float64(len(latencies)) / time.Since(begin).Seconds()
}

func review(r reviewed) admissionv1.AdmissionReview {
	review := admissionv1.AdmissionReview{Request: &r.request.AdmissionRequest}
	review.APIVersion, review.Kind = "admission.k8s.io/v1", "AdmissionReview"
	return review
}

func send(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer := admissionv1.AdmissionReview{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if answer.Response == nil || !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
		return fmt.Errorf("answered %+v, want it allowed with a patch", answer.Response)
	}
	return err
}
