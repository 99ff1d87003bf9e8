// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

// smallKey is one of server.small's.
const smallKey = "small/1/007.bin"

// lying answers for an object with another body, the first n times, or always.
func lying(key string, n int64, change func(*http.Response)) answer {
	lies := &times{n: n}
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if isGet(r, key) && lies.next() {
			*r = *r.WithContext(context.WithValue(r.Context(), changeKey{}, change))
		}
		return false
	}
}

// TestBytesThatAreNotTheObjects: whatever is wrong with them is noticed, and right ones are
// fetched. Where they stay wrong, the attempt fails and names the object.
func TestBytesThatAreNotTheObjects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(*http.Response)
		reasons []wire.Reason // Where they stay wrong.
	}{
		"one bit":          {flipped, []wire.Reason{wire.VerificationFailed}},
		"zeros at the end": {zeroed, []wire.Reason{wire.VerificationFailed}},
		"cut":              {cut, []wire.Reason{wire.EndpointUnreachable, wire.TransferFailed, wire.VerificationFailed}},
		"cut, and says so": {shortened, []wire.Reason{
			wire.EndpointUnreachable, wire.TransferFailed, wire.VerificationFailed, wire.SourceChanged,
		}},
	} {
		for _, key := range []string{smallKey, withChecksum, withETag} {
			t.Run(name+"/"+strings.ReplaceAll(key, "/", "_"), func(t *testing.T) {
				t.Parallel()
				withEngines(t, func(t *testing.T, engine string) {
					s := startServer(t)
					want := s.data(t, 10)
					once := newAttempt(t, engine, startHandler(t, s, lying(key, 1, tt.change)))
					if r := once.run(2*time.Minute, want); r.Class != wire.Done {
						t.Errorf("after one wrong answer the report is %+v", r)
					}
					always := newAttempt(t, engine, startHandler(t, s, lying(key, -1, tt.change)))
					r := always.run(2*time.Minute, want)
					always.mustEnd(r, tt.reasons...)
					if r.Reason == wire.VerificationFailed && !strings.Contains(r.Message, key) || !r.Class.Again() {
						t.Errorf("the report is %+v", r)
					}
					always.request.Source.Endpoint = "http://" + s.address
					always.mustFinish(want)
				})
			})
		}
	}
}

// TestServersThatRefuse after the listing. Large objects are alone, so that no small one is what the report is of.
func TestServersThatRefuse(t *testing.T) {
	t.Parallel()
	small := func(t testing.TB, s *server) map[string][]byte { return s.small(t, 10) }
	large := func(t testing.TB, s *server) map[string][]byte { return s.large(t) }
	for name, tt := range map[string]struct {
		put    func(testing.TB, *server) map[string][]byte
		status int
		code   string
		every  int64 // Of so many requests for bytes one is refused.
		want   wire.Reason
	}{
		"503 now and then":          {small, 503, "SlowDown", 3, ""},
		"503 now and then, large":   {large, 503, "SlowDown", 3, ""},
		"500 now and then":          {small, 500, "InternalError", 3, ""},
		"503 always":                {small, 503, "SlowDown", 1, wire.Throttled},
		"503 always, large":         {large, 503, "SlowDown", 1, wire.Throttled},
		"500 always":                {small, 500, "InternalError", 1, wire.EndpointUnreachable},
		"clocks that differ":        {small, 403, "RequestTimeTooSkewed", 1, wire.ClockSkewed},
		"clocks that differ, large": {large, 403, "RequestTimeTooSkewed", 1, wire.ClockSkewed},
		"denied":                    {small, 403, "AccessDenied", 1, wire.AccessDenied},
		"archived":                  {small, 403, "InvalidObjectState", 1, wire.RequestRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				want := tt.put(t, s)
				gets := &times{}
				a := newAttempt(t, engine, startHandler(t, s, func(w http.ResponseWriter, r *http.Request) bool {
					if !isGet(r, "") {
						return false
					}
					gets.next()
					return gets.calls.Load()%tt.every == 0 && s3Error(w, tt.status, tt.code)
				}))
				r := a.run(3*time.Minute, want)
				if r.Reason != tt.want || (r.Class == wire.Done) != (tt.want == "") {
					t.Errorf("the report is %+v, want the reason %q", r, tt.want)
				}
			})
		})
	}
}

// TestRefusalsOfEveryRequest after the listing: an answer to HEAD has no body that could say why.
func TestRefusalsOfEveryRequest(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]wire.Reason{
		"RequestTimeTooSkewed": wire.ClockSkewed,
		"AccessDenied":         wire.AccessDenied,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				files := s.small(t, 5)
				a := newAttempt(t, engine, startHandler(t, s, func(w http.ResponseWriter, r *http.Request) bool {
					return keyOf(r.URL.Path) != "" && s3Error(w, http.StatusForbidden, code)
				}))
				if r := a.run(3*time.Minute, files); r.Reason != want {
					t.Errorf("the report is %+v, want %s", r, want)
				}
			})
		})
	}
}

// TestABodyThatStalls is noticed, and asked for again.
func TestABodyThatStalls(t *testing.T) {
	t.Parallel()
	for _, key := range []string{smallKey, withChecksum} {
		t.Run(strings.ReplaceAll(key, "/", "_"), func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				want := s.data(t, 10)
				a := newAttempt(t, engine, startHandler(t, s, lying(key, 1, stalling)))
				if r := a.run(3*time.Minute, want); r.Class != wire.Done {
					t.Errorf("the report is %+v", r)
				}
			})
		})
	}
}
