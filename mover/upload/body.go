// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
)

// body is content on its way to S3. Its request is cancelled when nothing of it is taken for too
// long. Each request has its own: S3 may answer before it has read all, and the connection then still reads while
// the request is tried again. So it is no io.Seeker either, for which the client would try again by itself.
type body struct {
	from *io.SectionReader

	ctx    context.Context //nolint:containedctx // Of the one request.
	cancel context.CancelCauseFunc
	sender *sender
	idle   *time.Timer
}

// limitStep is what is asked of the limiter at a time, and its burst in bytes.
const limitStep = 32 << 10

func (s *sender) body(ctx context.Context, c content) *body {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &body{from: io.NewSectionReader(c.from, c.offset, c.size), ctx: ctx, cancel: cancel, sender: s}
	b.idle = time.AfterFunc(s.IdleTimeout, func() {
		cancel(fmt.Errorf("%w for %s", fault.ErrStalled, s.IdleTimeout))
	})
	return b
}

// end gives the request's resources back and names the reason of its end.
func (b *body) end(err error) error {
	b.idle.Stop()
	if cause := context.Cause(b.ctx); err != nil && cause != nil {
		err = cause
	}
	b.cancel(nil)
	return err
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.idle.Reset(b.sender.IdleTimeout)
	if b.sender.limit != nil {
		p = p[:min(len(p), limitStep)]
	}
	n, err := b.from.Read(p)
	if errors.Is(err, io.EOF) {
		if at, _ := b.from.Seek(0, io.SeekCurrent); at < b.from.Size() {
			return n, errShrank
		}
	}
	if b.sender.limit != nil && n > 0 {
		if err := b.sender.limit.WaitN(b.ctx, n); err != nil {
			return n, fmt.Errorf("wait for bandwidth: %w", err)
		}
	}
	return n, err //nolint:wrapcheck // io.EOF, or what the file said.
}
