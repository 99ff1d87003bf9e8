// SPDX-License-Identifier: Apache-2.0

package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/time/rate"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// Cat says how objects are read one after the other.
type Cat struct {
	From           int64 // Offset into the first object in bytes.
	BytesPerSecond int64 // 0 is no limit.
	// IdleTimeout is how long S3 may send nothing.
	IdleTimeout time.Duration
}

// Cat is what `mc cat` is, with our own client: it gives read the bytes of some planned objects, one
// after the other. The error belongs to the first object that did not arrive whole.
func (c *Client) Cat(ctx context.Context, p *plan.Plan, list []plan.Entry, o Cat, read func(io.Reader) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, w := io.Pipe()
	to := courier{source: c, plan: p, patience: o.IdleTimeout, to: w, stop: stop, buffer: make([]byte, copyBuffer)}
	if n := o.BytesPerSecond; n > 0 {
		to.limit = rate.NewLimiter(rate.Limit(n), copyBuffer)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(to.copyObjects(ctx, list, o.From))
	}()
	err := read(r)
	stop(err)
	_ = r.Close()
	<-ended
	return err
}

// courier brings objects one after the other.
type courier struct {
	source   *Client
	plan     *plan.Plan
	patience time.Duration
	to       io.Writer
	stop     context.CancelCauseFunc
	limit    *rate.Limiter // nil: as fast as it goes.
	buffer   []byte
}

// copyBuffer is a piece of an object in bytes.
const copyBuffer = 64 << 10

// copyObjects returns why it was stopped rather than what followed from that.
func (c courier) copyObjects(ctx context.Context, list []plan.Entry, from int64) error {
	for _, e := range list {
		if err := c.copyObject(ctx, e, from); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		from = 0
	}
	return nil
}

func (c courier) copyObject(ctx context.Context, e plan.Entry, from int64) error {
	body, err := c.source.Open(ctx, c.plan, e, from)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return c.copy(ctx, body)
}

// copy gives a server up that sends nothing for too long. A slow volume is no stall.
func (c courier) copy(ctx context.Context, body io.Reader) error {
	idle := time.AfterFunc(c.patience, func() { c.stop(fmt.Errorf("%w for %s", fault.ErrStalled, c.patience)) })
	defer idle.Stop()
	for {
		idle.Reset(c.patience)
		n, err := body.Read(c.buffer)
		idle.Stop()
		if _, err := c.to.Write(c.buffer[:n]); err != nil {
			return err //nolint:wrapcheck // The reader's own.
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && c.limit != nil {
			err = c.limit.WaitN(ctx, n)
		}
		if err != nil {
			return fmt.Errorf("get object: %w", err)
		}
	}
}
