// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// patient asks again for a page of a listing that is under way, because without it all pages before
// come again with the next attempt: a listing of a thousand pages would hardly ever end where one
// request in a thousand is refused for some seconds. Whatever else fails is told at once.
type patient struct{ http.RoundTripper }

// patience is how long a page is asked for, several times: minio-go tries again, too. A server that
// gives no answer at all takes longer than that.
const patience = 32 * time.Second

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || !r.URL.Query().Has("continuation-token") {
		return p.RoundTripper.RoundTrip(r) //nolint:wrapcheck // It is handed through.
	}
	start := time.Now() //nolint:forbidigo // Only ever subtracted from.
	for pause := time.Second; ; pause *= 2 {
		answer, err := p.page(r)
		if time.Since(start)+pause > patience || err == nil && !inTrouble(answer.StatusCode) || !wait(r.Context(), pause) {
			return answer, err
		}
	}
}

// page reads a whole answer: it may break off, too.
func (p *patient) page(r *http.Request) (*http.Response, error) {
	answer, err := p.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // It is handed through.
	}
	text, err := io.ReadAll(answer.Body) // A thousand keys of at most 1 KiB each.
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return answer, nil
}

// inTrouble tells answers that another one may follow.
func inTrouble(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
