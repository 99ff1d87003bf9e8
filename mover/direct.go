// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/time/rate"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// payerHeader accepts the costs of a request to a bucket that is Requester Pays. It has to be
// signed, which mc's --custom-header is not: AWS refuses that.
const payerHeader, payer = "x-amz-request-payer", "requester"

// version of a key that was asked for; empty is the current one.
func (m *mover) version(key string) string {
	for _, o := range m.request.Source.Objects { // At most 1000, and read once per request.
		if o.Key == key {
			return o.VersionID
		}
	}
	return ""
}

// sameVersion tells whether S3 answered about the version that was asked for. A server that
// knows no versions ignores the wish; "null" is the name of the one it has.
func sameVersion(asked, answered string) bool {
	return asked == "" || asked == answered || asked == "null" && answered == ""
}

// complete adds to a request what every one about this key has.
func (m *mover) complete(key string, o *minio.GetObjectOptions) {
	o.VersionID = m.version(key)
	if m.request.Source.RequestPayer {
		o.Set(payerHeader, payer)
	}
}

// objects gives read the bytes of some objects, one after the other, the first one from an
// offset on. The error belongs to the first object that did not arrive whole.
func (m *mover) objects(ctx context.Context, list []plan.Entry, from int64, share int, read func(io.Reader) error) error {
	if plan.Direct(m.request.Source) {
		return m.get(ctx, list, from, share, read)
	}
	args := append([]string{"cat"}, m.limit(share)...)
	if from > 0 {
		args = append(args, "--offset", strconv.FormatInt(from, 10))
	}
	for _, e := range list {
		args = append(args, m.objectURL(e.Key))
	}
	return m.runMC(ctx, args, read)
}

// get is what `mc cat` is, with our own client.
func (m *mover) get(ctx context.Context, list []plan.Entry, from int64, share int, read func(io.Reader) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, w := io.Pipe()
	c := courier{mover: m, to: w, stop: stop, buffer: make([]byte, copyBuffer)}
	if n := m.request.Transfer.BytesPerSecond; n > 0 {
		c.limit = rate.NewLimiter(rate.Limit(max(n/int64(share), 1)), copyBuffer)
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
	body, err := c.open(ctx, e, from)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return c.copy(ctx, body)
}

// open asks for exactly the object that was listed, by its entity tag.
func (m *mover) open(ctx context.Context, e plan.Entry, from int64) (io.ReadCloser, error) {
	var o minio.GetObjectOptions
	m.complete(e.Key, &o)
	var err error
	if tag := m.plan.TagText(e.ETag); tag != "" { // Some gateways list none.
		err = o.SetMatchETag(tag)
	}
	if from > 0 {
		err = errors.Join(err, o.SetRange(from, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("get object: %w", err)
	}
	body, info, _, err := minio.Core{Client: m.s3}.GetObject(ctx, m.request.Source.Bucket, e.Key, o)
	switch {
	case isNoSuchKey(err), rejected(err, http.StatusPreconditionFailed):
		return nil, fault.New(wire.SourceChanged, "object %s was overwritten or deleted while the volume was loaded", plan.Quote(e.Key)).Because(err)
	case err != nil:
		return nil, fmt.Errorf("get object: %w", err)
	}
	if info.Size != e.Size-from { // The next object would begin in the wrong place.
		_ = body.Close()
		return nil, fmt.Errorf("%w: S3 sends %d bytes of %s, want %d", errDiffers, info.Size, plan.Quote(e.Key), e.Size-from)
	}
	if asked := m.version(e.Key); !sameVersion(asked, info.VersionID) {
		_ = body.Close()
		return nil, m.otherVersion(e.Key, asked)
	}
	return body, nil
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

// otherVersion is for servers that answer about the current version whichever is asked for.
func (m *mover) otherVersion(key, asked string) error {
	return fault.New(
		wire.RequestRejected,
		"%s does not give version %q of object %s but another one: it may keep no versions; "+
			"remove versionId from spec.objects",
		m.faults.Where(),
		asked,
		plan.Quote(key),
	)
}
