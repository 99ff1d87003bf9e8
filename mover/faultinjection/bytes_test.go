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

// TestServersThatRefuse after the listing.
func TestServersThatRefuse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		code   string
		every  int64 // Of so many requests for bytes one is refused.
		want   wire.Reason
	}{
		"503 now and then":   {503, "SlowDown", 3, ""},
		"500 now and then":   {500, "InternalError", 3, ""},
		"503 always":         {503, "SlowDown", 1, wire.Throttled},
		"500 always":         {500, "InternalError", 1, wire.EndpointUnreachable},
		"clocks that differ": {403, "RequestTimeTooSkewed", 1, wire.ClockSkewed},
		"denied":             {403, "AccessDenied", 1, wire.AccessDenied},
		"archived":           {403, "InvalidObjectState", 1, wire.RequestRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				want := s.small(t, 10)
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
