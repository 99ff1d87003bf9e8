// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// repeats are how often a request is made, and how long the pauses between are: each is twice the one before.
type repeats struct {
	most           int
	first, longest time.Duration
}

// again makes a request until it is answered, as long as its trouble may pass: an export that ends
// for one request of thousands begins its file anew. Each try is several of the client.
func (s *sender) again(ctx context.Context, request func(context.Context) error) error {
	const most = 6
	return s.times(ctx, repeats{most, s.Pause, s.Pause << most}, request)
}

// sendBody makes a request with a body as often, and for as long, as others are made: the client repeats none
// of them by itself.
func (s *sender) sendBody(ctx context.Context, c content, request func(*body) error) error {
	const most = 24
	return s.times(ctx, repeats{most, s.Pause / 8, s.Pause * 2}, func(ctx context.Context) error {
		b := s.body(ctx, c)
		return b.end(request(b))
	})
}

func (s *sender) times(ctx context.Context, r repeats, request func(context.Context) error) error {
	pause := r.first
	for try := 1; ; try++ {
		err := request(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx) //nolint:wrapcheck // Why the mover is to end.
		}
		if err == nil || try == r.most || !passes(s.Faults, err) {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2+1)): // #nosec G404 -- jitter.
		case <-ctx.Done():
		}
		pause = min(pause*2, r.longest)
	}
}

// passes tells trouble that may be over soon. It knows at least what the client repeats by itself where it can, so that
// a request with a body is not given up for less.
func passes(c fault.Classifier, err error) bool {
	if errors.Is(err, errShrank) || errors.Is(err, errChanged) {
		return false
	}
	if errors.Is(err, errDamaged) { // On its way, perhaps.
		return true
	}
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && inTrouble(answer.StatusCode) {
		return true
	}
	f := c.Classify(err)
	var unanswered *url.Error
	if errors.As(err, &unanswered) && f.Reason == wire.TransferFailed {
		return true
	}
	return f.Reason == wire.Throttled || f.Reason == wire.EndpointUnreachable || errors.Is(f, fault.ErrExpired)
}

// inTrouble is an HTTP status of a server, or of a proxy before it, that speaks of itself and not of the request.
func inTrouble(status int) bool {
	const clientClosed = 499 // What nginx says of a client that it thinks is gone.
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, clientClosed:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= http.StatusInternalServerError
}
