// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

const handshakeTimeout = 5 * time.Second

// rawLine is a connection of our own. The head of an answer and the start of its body share
// the buffer.
type rawLine struct {
	engine   *Engine
	watch    *watch
	composer *composer
	buffer   []byte
	answer   answer

	conn   net.Conn
	used   bool // An answer came on this connection before.
	read   int  // Up to here the buffer is consumed.
	filled int
	left   int64 // Of the body, beyond what is in the buffer or not.
	reuse  bool
	chunks io.Reader // Of a body that is an error and tells no length.
	state  watched
}

// watched is what the watch looks at.
type watched struct {
	// waits is the watch's time since which the line waits for the network; 0: it does not.
	waits   atomic.Int64
	stalled atomic.Bool
}

var (
	errChunked = errors.New("the answer tells no length")
	// errStale is for a kept connection that ended before an answer began, because the server may
	// have closed it before the request came, and for one on which something else than an answer came.
	errStale = errors.New("the kept connection was of no use")
)

func newRawLine(e *Engine, w *watch) *rawLine {
	return &rawLine{engine: e, watch: w, composer: newComposer(e), buffer: make([]byte, bufferSize)}
}

func (l *rawLine) ask(ctx context.Context, q query, s *signing) (*answer, error) {
	now := time.Now() //nolint:forbidigo // A request is signed with the time of day.
	request := l.composer.compose(q, s, now)
	for {
		if l.conn == nil {
			if err := l.dial(ctx); err != nil {
				return nil, err
			}
		}
		a, err := l.exchange(request, q)
		if errors.Is(err, errStale) && ctx.Err() == nil {
			continue // Once, because the next connection is a new one.
		}
		return a, err
	}
}

func (l *rawLine) dial(ctx context.Context) error {
	u := l.engine.config.Bucket
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	conn, err := l.engine.config.Dial(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if u.Scheme == "https" {
		if conn, err = l.handshake(ctx, conn, u.Hostname()); err != nil {
			return err
		}
	}
	l.conn, l.used, l.reuse = conn, false, false
	l.watch.add(l)
	return nil
}

func (l *rawLine) handshake(ctx context.Context, conn net.Conn, host string) (net.Conn, error) {
	config := l.engine.config.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.ServerName, config.NextProtos = host, []string{"http/1.1"}
	ctx, stop := context.WithTimeout(ctx, handshakeTimeout)
	defer stop()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return secured, nil
}

func (l *rawLine) exchange(request []byte, q query) (*answer, error) {
	l.read, l.filled, l.left, l.reuse, l.chunks = 0, 0, 0, false, nil
	l.waiting()
	defer l.waited()
	if _, err := l.conn.Write(request); err != nil {
		return nil, l.broken(err)
	}
	if err := l.finalHead(); err != nil {
		return nil, l.doubted(err)
	}
	a := &l.answer
	a.kept, l.used = l.used, true
	switch {
	case q.method == "HEAD" || a.status == 204 || a.status == 304:
		l.left = 0
	case a.status >= 300 && (a.chunked || a.length < 0):
		l.unmeasured(a)
	case a.chunked || a.length < 0:
		l.close()
		return nil, errChunked
	default:
		l.left = a.length
	}
	l.reuse = !a.closes && l.chunks == nil
	return a, nil
}

// doubted explains an error of the head of an answer. On a kept connection it may be about what followed
// the answer before.
func (l *rawLine) doubted(err error) error {
	if l.used && errors.Is(err, engine.ErrAnswer) {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	return err
}

// finalHead reads heads up to the first that is not of an interim answer.
func (l *rawLine) finalHead() error {
	for {
		if err := l.head(); err != nil || l.answer.status >= 200 {
			return err
		}
	}
}

// unmeasured prepares to read an error that tells no length, as AWS sends them.
func (l *rawLine) unmeasured(a *answer) {
	rest := io.MultiReader(bytes.NewReader(bytes.Clone(l.buffer[l.read:l.filled])), l.conn)
	if l.chunks = rest; a.chunked {
		l.chunks = httputil.NewChunkedReader(rest)
	}
}

// head reads one head, that of an interim answer perhaps.
func (l *rawLine) head() error {
	var end int
	for {
		pending := l.buffer[l.read:l.filled]
		if end = bytes.Index(pending, []byte("\r\n\r\n")); end >= 0 {
			break
		}
		if l.filled == len(l.buffer) {
			l.close()
			return fmt.Errorf("%w: its head is longer than %d bytes", engine.ErrAnswer, len(l.buffer))
		}
		n, err := l.conn.Read(l.buffer[l.filled:])
		l.filled += n
		l.waiting()
		if err != nil && n == 0 {
			return l.broken(err)
		}
	}
	head := l.buffer[l.read : l.read+end]
	l.read += end + len("\r\n\r\n")
	if err := l.answer.parse(head); err != nil {
		l.close()
		return err
	}
	return nil
}

func (a *answer) parse(head []byte) error {
	a.reset()
	first, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if err := a.parseStatus(first); err != nil {
		return err
	}
	for len(rest) > 0 {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(text, []byte{':'})
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' {
			return fmt.Errorf("%w: %.40q is no header", engine.ErrAnswer, text)
		}
		if err := a.header(name, bytes.TrimSpace(value)); err != nil {
			return err
		}
	}
	return nil
}

func (l *rawLine) next() ([]byte, error) {
	if l.chunks != nil {
		l.waiting()
		defer l.waited()
		n, err := l.chunks.Read(l.buffer)
		return l.buffer[:n], err //nolint:wrapcheck // It ends what is read of an error.
	}
	if l.left == 0 {
		return nil, io.EOF
	}
	if l.read > 0 && l.read == l.filled {
		l.read, l.filled = 0, 0
	}
	have := int64(l.filled - l.read)
	if have < l.left && l.filled < len(l.buffer) {
		n, err := l.fill(l.left - have)
		l.filled += n
		if err != nil && int64(l.filled-l.read) < l.left {
			return nil, l.broken(err)
		}
	}
	body := l.buffer[l.read:l.filled]
	if int64(len(body)) > l.left { // More than was told: what comes next cannot be trusted.
		body = body[:l.left]
		l.reuse = false
	}
	l.read += len(body)
	l.left -= int64(len(body))
	return body, nil
}

// swap may lose nothing: between two calls of next all that is in the buffer is consumed, or it is of no use.
func (l *rawLine) swap(spare []byte) []byte {
	buffer := l.buffer
	l.buffer = spare
	return buffer
}

// fill reads into the buffer until it is full or want bytes have come. Each read may take as long
// as a connection may be idle: a slow network is no stall.
func (l *rawLine) fill(want int64) (n int, err error) {
	defer l.waited()
	for to := l.buffer[l.filled:]; n < len(to) && int64(n) < want; {
		l.waiting()
		m, err := l.conn.Read(to[n:])
		n += m
		if err != nil {
			return n, err //nolint:wrapcheck // The caller knows what was read.
		}
	}
	return n, nil
}

// broken explains an error of the connection, which is of no use any more.
func (l *rawLine) broken(err error) error {
	stale := l.used && l.filled == 0 && !l.state.stalled.Load()
	stalled := l.state.stalled.Load()
	l.close()
	switch {
	case stalled:
		return fmt.Errorf("%w for %s", engine.ErrStalled, l.engine.config.Idle)
	case stale:
		return fmt.Errorf("%w: %w", errStale, err)
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

func (l *rawLine) done() {
	if l.conn != nil && (l.left > 0 || l.chunks != nil || !l.reuse || l.read != l.filled) {
		l.close()
	}
}

func (l *rawLine) close() {
	if l.conn == nil {
		return
	}
	l.watch.remove(l)
	_ = l.conn.Close()
	l.conn, l.left = nil, 0
	l.state.stalled.Store(false)
	l.state.waits.Store(0)
}

func (l *rawLine) waiting() { l.state.waits.Store(l.watch.now.Load()) }

func (l *rawLine) waited() { l.state.waits.Store(0) }
