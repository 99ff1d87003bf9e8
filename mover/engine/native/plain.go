// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// plainLine makes its requests with net/http, which knows proxies and answers that tell no
// length. It signs them as rawLine does.
type plainLine struct {
	engine   *Engine
	composer *composer
	buffer   []byte
	answer   answer

	stop  context.CancelCauseFunc
	cause func() error // Why the request was stopped, or nil.
	body  io.ReadCloser
	idle  *time.Timer
	left  int64 // -1: until the body ends.
	err   error // What ended the body, once the bytes before it were handed out.
}

func newPlainLine(e *Engine) *plainLine {
	return &plainLine{engine: e, composer: newComposer(e), buffer: make([]byte, bufferSize)}
}

func (l *plainLine) ask(ctx context.Context, q query, s *signing) (*answer, error) {
	ctx, l.stop = context.WithCancelCause(ctx)
	l.cause = func() error { return context.Cause(ctx) }
	idle := l.engine.config.Idle
	l.idle = time.AfterFunc(idle, func() { l.stop(fmt.Errorf("%w for %s", engine.ErrStalled, idle)) })
	request, err := l.request(ctx, q, s)
	if err != nil {
		return nil, l.failed(err)
	}
	response, err := l.engine.client.Do(request) //nolint:bodyclose // The line closes it when it is read or given up.
	l.idle.Stop()
	if err != nil {
		return nil, l.failed(err)
	}
	l.body, l.left, l.err = response.Body, response.ContentLength, nil
	if err := l.readHead(response); err != nil {
		return nil, l.failed(err)
	}
	return &l.answer, nil
}

// request is what the composer wrote, as net/http takes it.
func (l *plainLine) request(ctx context.Context, q query, s *signing) (*http.Request, error) {
	u := *l.engine.config.Bucket
	now := time.Now() //nolint:forbidigo // A request is signed with the time of day.
	head := l.composer.compose(q, s, now)
	u.RawPath, u.RawQuery = string(l.composer.path), string(l.composer.query)
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, q.method, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	_, rest, _ := bytes.Cut(head, []byte("\r\n"))
	for text := range bytes.SplitSeq(bytes.TrimSpace(rest), []byte("\r\n")) {
		name, value, _ := bytes.Cut(text, []byte(": "))
		if string(name) != "Host" {
			request.Header.Set(string(name), string(value))
		}
	}
	return request, nil
}

func (l *plainLine) readHead(r *http.Response) error {
	l.answer.reset()
	l.answer.status, l.answer.length = r.StatusCode, r.ContentLength
	for name, values := range r.Header {
		if name == "Content-Length" {
			continue
		}
		if err := l.answer.header([]byte(name), []byte(values[0])); err != nil {
			return err
		}
	}
	return nil
}

func (l *plainLine) swap(spare []byte) []byte {
	buffer := l.buffer
	l.buffer = spare
	return buffer
}

func (l *plainLine) next() ([]byte, error) { //nolint:gocyclo // What ends an answer, one after the other.
	if l.err != nil {
		return nil, l.failed(l.err)
	}
	want := int64(len(l.buffer))
	if l.left >= 0 {
		want = min(want, l.left)
	}
	if want == 0 {
		return nil, io.EOF
	}
	n := 0
	for int64(n) < want {
		l.idle.Reset(l.engine.config.Idle)
		m, err := l.body.Read(l.buffer[n:want])
		l.idle.Stop()
		n += m
		if errors.Is(err, io.EOF) && (l.left < 0 || int64(n) == l.left) {
			l.left = int64(n)
			break
		}
		if err != nil {
			l.err = fmt.Errorf("read the object: %w", err)
			break
		}
	}
	if n == 0 && l.err != nil {
		return nil, l.failed(l.err)
	}
	if l.left >= 0 {
		l.left -= int64(n)
	}
	if n == 0 {
		return nil, io.EOF
	}
	return l.buffer[:n], nil
}

// failed says why a request was stopped rather than what followed from that.
func (l *plainLine) failed(err error) error {
	if cause := l.cause(); cause != nil {
		err = cause
	}
	l.done()
	return err
}

func (l *plainLine) done() {
	if l.idle != nil {
		l.idle.Stop()
	}
	if l.body != nil {
		_ = l.body.Close()
		l.body = nil
	}
	if l.stop != nil {
		l.stop(nil)
		l.stop = nil
	}
}

func (l *plainLine) close() { l.done() }
