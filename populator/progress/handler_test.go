// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

const goodBody = `{"phase":"Transferring","objectsDone":1,"objectsTotal":2,"bytesDone":3,"bytesTotal":4,"bytesPerSecond":5}`

// bench is a handler before an API server that knows one mover and one token.
type bench struct {
	handler *Handler
	client  client.Client
	now     time.Time
	reviews int
}

func newBench(role string) *bench {
	b := &bench{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      "populate-x",
			Namespace: "team",
			UID:       "pod-uid",
			Labels:    map[string]string{v1alpha1.LabelRole: role},
		},
	}
	b.client = fake.NewClientBuilder().WithScheme(
		clientgoscheme.Scheme,
	).WithObjects(
		pod,
	).WithInterceptorFuncs(
		interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				review, ok := o.(*authenticationv1.TokenReview)
				if !ok {
					return c.Create(ctx, o, opts...)
				}
				b.reviews++
				if review.Spec.Token == "good" {
					review.Status = reviewed()
				}
				return nil
			},
		},
	).Build()
	now := func() time.Time { return b.now }
	b.handler = &Handler{Client: b.client, Reviewer: NewReviewer(b.client, now), Now: now}
	return b
}

func reviewed() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{wire.TokenAudience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:team:default",
			Extra:    map[string]authenticationv1.ExtraValue{extraPodName: {"populate-x"}, extraPodUID: {"pod-uid"}},
		},
	}
}

func (b *bench) post(t *testing.T, token, body string) int {
	t.Helper()
	return b.answer(t, token, body).Code
}

func (b *bench) answer(t *testing.T, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, wire.ProgressPath, strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	return w
}

func (b *bench) recorded(t *testing.T) string {
	t.Helper()
	pod := &corev1.Pod{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "populate-x"}, pod); err != nil {
		t.Fatal(err)
	}
	return pod.Annotations[v1alpha1.AnnotationProgress]
}

func TestProgress(t *testing.T) {
	cases := map[string]struct {
		role, token, body string
		want              int
	}{
		"a mover's numbers are recorded":    {v1alpha1.RolePopulate, "good", goodBody, http.StatusNoContent},
		"an export's numbers are, too":      {v1alpha1.RoleExport, "good", goodBody, http.StatusNoContent},
		"an import's numbers are, too":      {v1alpha1.RoleImport, "good", goodBody, http.StatusNoContent},
		"no token is refused":               {v1alpha1.RolePopulate, "", goodBody, http.StatusUnauthorized},
		"a token of nobody is refused":      {v1alpha1.RolePopulate, "bad", goodBody, http.StatusUnauthorized},
		"a pod that is no mover is refused": {"other", "good", goodBody, http.StatusUnauthorized},
		"negative numbers are refused": {
			v1alpha1.RolePopulate,
			"good",
			`{"phase":"Listing","bytesDone":-1}`,
			http.StatusBadRequest,
		},
		"what we do not know is refused": {
			v1alpha1.RolePopulate,
			"good",
			`{"phase":"Listing","rm":"-rf"}`,
			http.StatusBadRequest,
		},
		"more than a message is refused": {
			v1alpha1.RolePopulate,
			"good",
			`{"phase":"` + strings.Repeat("x", 2*bodyLimit) + `"}`,
			http.StatusBadRequest,
		},
		"two messages in one are refused": {v1alpha1.RolePopulate, "good", goodBody + goodBody, http.StatusBadRequest},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(c.role)
			if got := b.post(t, c.token, c.body); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
			if (b.recorded(t) != "") != (c.want == http.StatusNoContent) {
				t.Errorf("recorded %q", b.recorded(t))
			}
		})
	}
}

// A mover's name is that of all movers of its claim: only its UID tells them apart.
func TestProgressOfAnEarlierPod(t *testing.T) {
	b := newBench(v1alpha1.RolePopulate)
	pod := &corev1.Pod{}
	key := client.ObjectKey{Namespace: "team", Name: "populate-x"}
	if err := b.client.Get(t.Context(), key, pod); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	pod.UID, pod.ResourceVersion = "successor", ""
	if err := b.client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got := b.post(t, "good", goodBody); got != http.StatusUnauthorized || b.recorded(t) != "" {
		t.Errorf("status %d, recorded %q", got, b.recorded(t))
	}
}

// The pod may be another one between the look and the write: then the API server refuses it.
func TestProgressNamesItsPod(t *testing.T) {
	b := newBench(v1alpha1.RolePopulate)
	sent := ""
	b.handler.Client = interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		Patch: func(_ context.Context, _ client.WithWatch, o client.Object, p client.Patch, _ ...client.PatchOption) error {
			raw, err := p.Data(o)
			sent = string(raw)
			return err
		},
	})
	if got := b.post(t, "good", goodBody); got != http.StatusNoContent || !strings.Contains(sent, `"uid":"pod-uid"`) {
		t.Errorf("status %d, sent %s", got, sent)
	}
}

// endless is a body that has no end, and counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read > 1<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	e.read += len(p)
	return len(p), nil
}

// Anybody in the cluster may send, and what is not read takes no memory.
func TestABodyIsReadUpToItsLimit(t *testing.T) {
	b, body := newBench(v1alpha1.RolePopulate), &endless{}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, wire.ProgressPath, body)
	req.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	if w.Code != http.StatusBadRequest || body.read > 2*bodyLimit {
		t.Errorf("status %d after %d bytes, the limit is %d", w.Code, body.read, bodyLimit)
	}
}

func TestProgressIsThrottledAndTokensAreRemembered(t *testing.T) {
	b := newBench(v1alpha1.RolePopulate)
	codes := []int{b.post(t, "good", goodBody), b.post(t, "good", goodBody)}
	b.now = b.now.Add(patchEvery)
	codes = append(codes, b.post(t, "good", goodBody))
	want := []int{http.StatusNoContent, http.StatusTooManyRequests, http.StatusNoContent}
	for i := range want {
		if codes[i] != want[i] {
			t.Errorf("message %d: status %d, want %d", i, codes[i], want[i])
		}
	}
	if b.reviews != 1 {
		t.Errorf("%d reviews of one token", b.reviews)
	}
	b.now = b.now.Add(remember)
	b.post(t, "good", goodBody)
	if b.reviews != 2 {
		t.Errorf("a token is believed for longer than %s", remember)
	}
}

// The more movers run, the more seldom each is heard: together at most 50 patches a second.
func TestManyMoversAreHeardMoreSeldom(t *testing.T) {
	for movers, want := range map[int]int{1: 2, 100: 2, 101: 3, 1000: 20} {
		b := newBench(v1alpha1.RolePopulate)
		for i := range movers {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name:      fmt.Sprint("populate-", i),
					Namespace: "team",
					Labels:    map[string]string{v1alpha1.LabelRole: v1alpha1.RolePopulate},
				},
				Status: corev1.PodStatus{Phase: corev1.PodRunning},
			}
			if err := b.client.Create(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
		}
		var codes []int
		for _, after := range []time.Duration{0, time.Duration(want)*time.Second - time.Second, time.Second} {
			b.now = b.now.Add(after)
			w := b.answer(t, "good", goodBody)
			if got := w.Header().Get(wire.ProgressEvery); got != fmt.Sprint(want) {
				t.Errorf("%d movers: every %q s, want %d", movers, got, want)
			}
			codes = append(codes, w.Code)
		}
		if want := []int{http.StatusNoContent, http.StatusTooManyRequests, http.StatusNoContent}; !slices.Equal(codes, want) {
			t.Errorf("%d movers: answers %v, want %v", movers, codes, want)
		}
	}
}

// Movers that do not keep to their interval, or begin all at once, do not make more.
func TestPatchesOfAllMoversAreBounded(t *testing.T) {
	b := newBench(v1alpha1.RolePopulate)
	accepted := 0
	for i := range 1000 {
		if b.handler.due(types.UID(fmt.Sprint(i)), patchEvery) {
			accepted++
		}
	}
	if accepted != patchRate {
		t.Errorf("%d patches at once, want %d", accepted, patchRate)
	}
}

func TestUnknownTokensCannotFloodTheAPIServer(t *testing.T) {
	b := newBench(v1alpha1.RolePopulate)
	busy := 0
	for range 3 * reviewBurst {
		if b.post(t, "bad", goodBody) == http.StatusTooManyRequests {
			busy++
		}
	}
	if b.reviews > 2*reviewBurst || busy == 0 {
		t.Errorf("%d reviews, %d refusals", b.reviews, busy)
	}
}

func TestBearer(t *testing.T) {
	cases := map[string]func(*authenticationv1.TokenReviewStatus){
		"not authenticated": func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false },
		"another audience": func(s *authenticationv1.TokenReviewStatus) {
			s.Audiences = []string{"https://kubernetes.default.svc"}
		},
		"a person":           func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "admin" },
		"bound to no pod":    func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil },
		"bound to two pods?": func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[extraPodName] = []string{"a", "b"} },
	}
	if _, err := bearer(reviewed()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range cases {
		s := reviewed()
		spoil(&s)
		if pod, err := bearer(s); err == nil {
			t.Errorf("%s: taken for %+v", name, pod)
		}
	}
}
