// SPDX-License-Identifier: Apache-2.0

package mover

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

// objects gives read the bytes of some objects, one after the other, the first one from an
// offset on. The error belongs to the first object that did not arrive whole.
func (m *mover) objects(ctx context.Context, list []plan.Entry, from int64, share int, read func(io.Reader) error) error {
	if plan.Direct(m.request.Source) {
		return m.get(ctx, list, from, share, read)
	}
	keys := make([]string, 0, len(list))
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	return m.mc.Cat(ctx, keys, from, m.bandwidth(share), read)
}

// get is what `mc cat` is, with our own client.
func (m *mover) get(ctx context.Context, list []plan.Entry, from int64, share int, read func(io.Reader) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, w := io.Pipe()
	c := courier{mover: m, to: w, stop: stop, buffer: make([]byte, copyBuffer)}
	if n := m.bandwidth(share); n > 0 {
		c.limit = rate.NewLimiter(rate.Limit(n), copyBuffer)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(c.copyObjects(ctx, list, from))
	}()
	err := read(r)
	stop(err)
	_ = r.Close()
	<-ended
	return err
}

// courier brings objects one after the other.
type courier struct {
	*mover

	to     io.Writer
	stop   context.CancelCauseFunc
	limit  *rate.Limiter // nil: as fast as it goes.
	buffer []byte
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
	patience := c.options.IdleTimeout
	idle := time.AfterFunc(patience, func() { c.stop(fmt.Errorf("%w for %s", fault.ErrStalled, patience)) })
	defer idle.Stop()
	for {
		idle.Reset(patience)
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
