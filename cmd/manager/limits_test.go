// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/webhook"
)

// limited serves a handler behind limits, in both versions of HTTP that API servers use.
func limited(t *testing.T, l *limits, hook http.HandlerFunc, http2 bool) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(l.wrap(hook))
	server.EnableHTTP2 = http2
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// small limits, but for the time to read a body: what is not slow is read however busy the machine is.
func small() *limits {
	return &limits{body: 10, read: time.Minute, wait: 200 * time.Millisecond, place: make(chan struct{}, 1)}
}

func post(t *testing.T, server *httptest.Server, body io.Reader) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if s, ok := body.(*slow); ok {
		close(s.answered)
	}
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// slow sends a byte, and then nothing until it is answered.
type slow struct {
	sent     bool
	answered chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	if s.sent {
		<-s.answered
		return 0, io.EOF
	}
	s.sent = true
	p[0] = 'x'
	return 1, nil
}

func TestLimits(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	for _, http2 := range []bool{false, true} {
		for name, tt := range map[string]struct {
			body       io.Reader // nil is one that does not end.
			wantStatus int
			wantText   string
		}{
			"a body of the limit": {strings.NewReader("0123456789"), 200, "0123456789"},
			"a longer one":        {strings.NewReader("0123456789a"), 413, "larger than 10 bytes"},
			"a longer one without length": {
				io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("a")), 413,
				"larger than 10 bytes",
			},
			"a slow one": {nil, 408, "took longer than"},
		} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %t", name, http2), func(t *testing.T) {
				t.Parallel()
				limits := small()
				if tt.body == nil {
					limits.read, tt.body = 200*time.Millisecond, &slow{answered: make(chan struct{})}
				}
				status, text := post(t, limited(t, limits, echo, http2), tt.body)
				if status != tt.wantStatus || !strings.Contains(text, tt.wantText) {
					t.Errorf("answered %d %q, want %d %q", status, text, tt.wantStatus, tt.wantText)
				}
			})
		}
	}
}

// TestParallelRequests: the handler never runs more often at once than there are places; who
// comes later waits for a moment and is then turned away.
func TestParallelRequests(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	server := limited(t, small(), func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release }, true)
	first := make(chan int)
	go func() {
		status, _ := post(t, server, strings.NewReader("x"))
		first <- status
	}()
	<-entered
	if status, text := post(t, server, strings.NewReader("x")); status != http.StatusServiceUnavailable {
		t.Errorf("the second was answered %d %q, want it to be turned away", status, text)
	}
	close(release)
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first was answered %d", status)
	}
	if status, text := post(t, server, strings.NewReader("x")); status != http.StatusOK {
		t.Errorf("after that the answer is %d %q", status, text)
	}
}

func TestEveryPathHasLimits(t *testing.T) {
	all := newLimits()
	for _, path := range []string{webhook.PathClaims, webhook.PathSelected, webhook.PathExports, wire.ProgressPath} {
		if all[path] == nil {
			t.Errorf("%s has none", path)
		}
	}
	if all[webhook.PathClaims] != all[webhook.PathSelected] || all[webhook.PathClaims] != all[webhook.PathExports] ||
		all[webhook.PathClaims] == all[wire.ProgressPath] {
		t.Error("reviews share their places with each other, and not with movers")
	}
}

// TestWorstReviews: as many as there are places, of the largest body, stay below the memory limit.
func TestWorstReviews(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector needs memory of its own; hack/test.sh runs this without it")
	}
	const memory = 200 << 20 // GOMEMLIMIT in the manifests.
	l := newLimits()[webhook.PathClaims]
	annotations := map[string]string{}
	for i := 0; len(annotations)*28 < int(l.body)-4096; i++ {
		annotations[fmt.Sprintf("s3populator.io/%06d", i)] = ""
	}
	claim, err := json.Marshal(
		map[string]any{
			"apiVersion": "v1",
			"kind":       "PersistentVolumeClaim",
			"metadata":   map[string]any{"name": "data", "namespace": "ml", "annotations": annotations},
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "u", Operation: admissionv1.Create, Namespace: "ml", Object: runtime.RawExtension{Raw: claim},
		},
	}
	body, err := json.Marshal(review)
	if err != nil || int64(len(body)) > l.body {
		t.Fatalf("the review has %d bytes (%v)", len(body), err)
	}
	reader := fake.NewClientBuilder().Build()
	hook := l.wrap(
		&admission.Webhook{Handler: &webhook.Claims{Reader: reader, Decoder: admission.NewDecoder(clientgoscheme.Scheme)}},
	)
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			request := httptest.NewRequestWithContext(
				b.Context(),
				http.MethodPost,
				webhook.PathClaims,
				strings.NewReader(string(body)),
			)
			request.Header.Set("Content-Type", "application/json")
			hook.ServeHTTP(httptest.NewRecorder(), request)
		}
	})
	if each := result.AllocedBytesPerOp(); each*int64(cap(l.place)) > memory*3/4 {
		t.Errorf(
			"a review takes %d KiB, so %d of them take %d MiB of %d",
			each>>10,
			cap(l.place),
			each*int64(cap(l.place))>>20,
			memory>>20,
		)
	} else {
		t.Logf("a review takes %d KiB", each>>10)
	}
}
