// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// beginAnswer says 200 and keeps the connection alive, as S3 does while it copies.
func beginAnswer(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusOK)
	for _, text := range []string{`<?xml version="1.0" encoding="UTF-8"?>` + "\n", " ", " "} {
		_, err := io.WriteString(w, text)
		mustDo(t, err)
		mustDo(t, http.NewResponseController(w).Flush())
	}
}

// S3 begins to answer before it has copied. An answer that does not say what became of the copy is none, whatever its
// status: nothing is sent to the key of the copy in that attempt, and nothing is copied in the next one.
func TestAnAnswerThatDoesNotSayWhatBecameOfACopy(t *testing.T) {
	for name, rest := range map[string]string{
		"it ends":                   "",
		"it ends within the result": `<CopyObjectResult><ETag>&quot;`,
		"it breaks off":             "breaks off",
		"S3 is in trouble":          `<Error><Code>InternalError</Code><Message>made by a test</Message></Error>`,
		"it is of somebody else":    `<html><body>Try again later.</body></html>`,
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) {
				var late atomic.Pointer[http.Request]
				var copies atomic.Int64
				p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
					if !isCopy(r, "") {
						return false
					}
					copies.Add(1)
					late.CompareAndSwap(nil, kept(t, r))
					beginAnswer(t, w)
					if rest == "breaks off" {
						panic(http.ErrAbortHandler)
					}
					_, _ = io.WriteString(w, rest)
					return true
				})
				b := copiedAgain(t, s, p, []byte("before"))
				r := b.run()
				if r.Reason != wire.EndpointUnreachable || r.Class != wire.RetryUncounted || r.SentObjects+r.CopiedObjects != 0 {
					t.Fatalf("the report is %+v, want %s, and nothing that was sent or copied", r, wire.EndpointUnreachable)
				}
				arrives(t, s, late.Load())
				b.mustSendChanged(s, []byte("changed"), &copies)
			})
		})
	}
}

// A copy is done when the answer says so, and waited for when its mover was ended before.
func TestACopyThatIsAnsweredLate(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var isEnded atomic.Bool
		interrupted, interrupt := stoppable(t)
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if !isCopy(r, "") {
				return false
			}
			late := kept(t, r)
			beginAnswer(t, w)
			if !isEnded.Swap(true) {
				interrupt()
				panic(http.ErrAbortHandler)
			}
			_, text := answered(t, s, late)
			_, result, _ := strings.Cut(text, "?>") // The declaration is said.
			_, _ = io.WriteString(w, result)
			return true
		})
		b := copiedAgain(t, s, p, []byte("before"))
		if r := b.runContext(interrupted); r.Reason != wire.Interrupted || r.CopiedObjects != 0 {
			t.Fatalf("the report is %+v, want %s, and nothing that was copied", r, wire.Interrupted)
		}
		b.request.Attempt = 2
		if r, waits := b.waits(); !waits || r.CopiedObjects != 1 {
			t.Errorf("the report is %+v, want a copy, and that it has waited for the one before: %t", r, waits)
		}
		b.request.Attempt = 3
		if r := b.mustBeDone(b.run()); r.SentObjects != 0 {
			t.Errorf("the report is %+v, want nothing that was sent", r)
		}
		b.mustBeListed(s, []byte("before"))
	})
}
