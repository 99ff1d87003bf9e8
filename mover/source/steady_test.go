// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
)

// stalling answers with one byte, and then says nothing more until nobody waits for it.
type stalling struct {
	ctx  context.Context //nolint:containedctx // Of its request.
	told bool
}

func (*stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: &stalling{ctx: r.Context()}}, nil
}

func (s *stalling) Read(p []byte) (int, error) {
	if !s.told {
		s.told = true
		return copy(p, "x"), nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err() //nolint:wrapcheck // As a connection does.
}

func (*stalling) Close() error { return nil }

// What S3 begins to answer and does not end is given up. Who reads slowly is no stall.
func TestAnAnswerThatStallsIsGivenUp(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, method, "http://s3/bucket/key", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := (&Client{Identities: new(identities)}).throughAll(new(stalling)).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) //nolint:forbidigo // The clock is the test's own.
			text, err := io.ReadAll(answer.Body)
			if string(text) != "x" || !errors.Is(err, fault.ErrStalled) {
				t.Errorf("%s: read was %q: %v, want %v", method, text, err, fault.ErrStalled)
			}
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
