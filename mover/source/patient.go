// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// patient asks again for a page of a listing that is under way, because without it all pages before
// come again with the next attempt: a listing of a thousand pages would hardly ever end where one
// request in a thousand is refused for some seconds. Whatever else fails is told at once.
type patient struct{ http.RoundTripper }

// patience is how long a page is asked for, several times: minio-go tries again, too. A server that
// gives no answer at all takes longer than that. Below it, pages reads whole answers: one may break
// off, too.
const patience = 32 * time.Second

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || !r.URL.Query().Has("continuation-token") {
		return p.RoundTripper.RoundTrip(r) //nolint:wrapcheck // It is handed through.
	}
	start := time.Now() //nolint:forbidigo // Only ever subtracted from.
	for pause := time.Second; ; pause *= 2 {
		answer, err := p.RoundTripper.RoundTrip(r)
		if time.Since(start)+pause > patience || !mayPass(answer, err) || !wait(r.Context(), pause) {
			return answer, err //nolint:wrapcheck // It is handed through.
		}
	}
}

// mayPass tells whether another answer may follow this one.
func mayPass(answer *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, errLongPage) && !errors.Is(err, errSamePage)
	}
	return inTrouble(answer.StatusCode)
}

// inTrouble tells the status of answers that another one may follow.
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
