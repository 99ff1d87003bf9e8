// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
)

// answerTimeout is how long an answer may say nothing while it is read. S3 sends spaces until an upload is complete.
const answerTimeout = 2 * time.Minute

// steady gives up an answer that stalls. A server that begins to answer and then says nothing more, on a connection
// that lives, would be waited for for ever.
type steady struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s *steady) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancelCause(r.Context())
	answer, err := s.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop(nil)
		return nil, err //nolint:wrapcheck // It is handed through.
	}
	answer.Body = &steadyBody{ReadCloser: answer.Body, ctx: ctx, stop: stop}
	return answer, nil
}

// steadyBody is an answer that is waited for while it is read; who reads it may take any time in between.
type steadyBody struct {
	io.ReadCloser

	ctx  context.Context //nolint:containedctx // Of the one request.
	stop context.CancelCauseFunc
}

// Read implements io.Reader.
func (b *steadyBody) Read(p []byte) (int, error) {
	idle := time.AfterFunc(answerTimeout, func() {
		b.stop(fmt.Errorf("%w for %s", fault.ErrStalled, answerTimeout))
	})
	defer idle.Stop()
	n, err := b.ReadCloser.Read(p)
	if cause := context.Cause(b.ctx); err != nil && !errors.Is(err, io.EOF) && cause != nil {
		err = cause
	}
	return n, err //nolint:wrapcheck // It is handed through.
}

// Close implements io.Closer.
func (b *steadyBody) Close() error {
	defer b.stop(nil)
	return b.ReadCloser.Close() //nolint:wrapcheck // It is handed through.
}
