// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/engine"
)

// hijack gives the connection of a request, to do what net/http would not.
func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return conn
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// misbehaviour is what a server does wrong. All of them are tried with a small object and a large one.
type misbehaviour struct {
	// serve answers in place of the server, or does not.
	serve func(f *fixture, w http.ResponseWriter, r *http.Request, count int) bool
	// want judges the error; nil is that the object arrives in spite of it.
	want func(error) bool
}

// partly sends the head of a good answer and then only some of the body.
func partly(f *fixture, w http.ResponseWriter, r *http.Request, end func(net.Conn)) bool {
	if r.Method != http.MethodGet {
		return false
	}
	o := f.objects[r.URL.Path[len("/bucket/"):]]
	from, to, status := 0, len(o.body)-1, "200 OK"
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil {
		status = fmt.Sprintf("206 Partial Content\r\nContent-Range: bytes %d-%d/%d", from, to, len(o.body))
	}
	conn := hijack(w)
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\nETag: \"%s\"\r\nContent-Length: %d\r\n\r\n", status, o.tag, to+1-from)
	_, _ = conn.Write(o.body[from : (from+to)/2])
	end(conn)
	_ = conn.Close()
	return true
}

// replaced sends a good answer but for one header.
func replaced(header, value string) func(*fixture, http.ResponseWriter, *http.Request, int) bool {
	return func(f *fixture, w http.ResponseWriter, r *http.Request, _ int) bool {
		f.objects[r.URL.Path[len("/bucket/"):]].give(&lying{ResponseWriter: w, header: header, value: value}, r)
		return true
	}
}

type lying struct {
	http.ResponseWriter

	header, value string
}

func (l *lying) WriteHeader(status int) {
	l.Header().Set(l.header, l.value)
	l.ResponseWriter.WriteHeader(status)
}

func seldom(
	serve func(f *fixture, w http.ResponseWriter, r *http.Request) bool,
) func(*fixture, http.ResponseWriter, *http.Request, int) bool {
	return func(f *fixture, w http.ResponseWriter, r *http.Request, n int) bool {
		return n%3 == 1 && serve(f, w, r)
	}
}

func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

func refusing(status int, code string) func(*fixture, http.ResponseWriter, *http.Request, int) bool {
	return func(_ *fixture, w http.ResponseWriter, _ *http.Request, _ int) bool {
		refuse(w, status, code)
		return true
	}
}

var faults = map[string]misbehaviour{
	"a truncated body now and then": {seldom(func(f *fixture, w http.ResponseWriter, r *http.Request) bool {
		return partly(f, w, r, func(net.Conn) {})
	}), nil},
	"a reset now and then": {seldom(func(f *fixture, w http.ResponseWriter, r *http.Request) bool {
		return partly(f, w, r, reset)
	}), nil},
	"a reset before the answer now and then": {seldom(func(_ *fixture, w http.ResponseWriter, _ *http.Request) bool {
		conn := hijack(w)
		reset(conn)
		_ = conn.Close()
		return true
	}), nil},
	"nothing but truncated bodies of nothing": {func(f *fixture, w http.ResponseWriter, r *http.Request, _ int) bool {
		o := f.objects[r.URL.Path[len("/bucket/"):]]
		conn := hijack(w)
		defer conn.Close()
		part := ""
		status := 200
		if r.Header.Get("Range") != "" {
			status = 206
			part = "Content-Range: " + "bytes " + r.Header.Get("Range")[len("bytes="):] + "/" + strconv.Itoa(
				len(o.body),
			) + "\r\n"
		}
		length := len(o.body)
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil {
			length = to - from + 1
		}
		_, _ = fmt.Fprintf(
			conn,
			"HTTP/1.1 %d OK\r\nETag: \"%s\"\r\n%sContent-Length: %d\r\n\r\n",
			status,
			o.tag,
			part,
			length,
		)
		return true
	}, is(io.ErrUnexpectedEOF)},
	"503 now and then": {
		seldom(func(_ *fixture, w http.ResponseWriter, _ *http.Request) bool { refuse(w, 503, "SlowDown"); return true }),
		nil,
	},
	"500 now and then": {seldom(func(_ *fixture, w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 500, "InternalError")
		return true
	}), nil},
	"nothing but 503":     {refusing(503, "SlowDown"), is503},
	"access denied":       {refusing(403, "AccessDenied"), func(err error) bool { return status(err) == 403 }},
	"a redirect":          {redirect, func(err error) bool { return status(err) == 307 }},
	"another object":      {refusing(412, "PreconditionFailed"), is(engine.ErrChanged)},
	"no object":           {refusing(404, "NoSuchKey"), is(engine.ErrChanged)},
	"another entity tag":  {replaced("ETag", `"0123456789abcdef0123456789abcdef"`), is(engine.ErrChanged)},
	"no range can be had": {onlyGET(refusing(416, "InvalidRange")), func(err error) bool { return status(err) == 416 }},
	"a range of another object": {onlyGET(replaced("Content-Range", "bytes 0-4/5")), func(err error) bool {
		return errors.Is(err, engine.ErrAnswer) || errors.Is(err, engine.ErrChanged)
	}},
	"a nonsensical range": {onlyGET(replaced("Content-Range", "bytes 5-4/x")), is(engine.ErrAnswer)},
	"a shorter object": {func(f *fixture, w http.ResponseWriter, r *http.Request, _ int) bool {
		o := f.objects[r.URL.Path[len("/bucket/"):]]
		o.body = o.body[:len(o.body)-1]
		o.give(w, r)
		return true
	}, func(err error) bool { return errors.Is(err, engine.ErrAnswer) || errors.Is(err, engine.ErrChanged) }},
	"no HTTP": {func(_ *fixture, w http.ResponseWriter, _ *http.Request, _ int) bool {
		conn := hijack(w)
		_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.9 and so on\r\n\r\n"))
		_ = conn.Close()
		return true
	}, is(engine.ErrAnswer)},
	"a slow first byte": {seldom(func(*fixture, http.ResponseWriter, *http.Request) bool {
		time.Sleep(400 * time.Millisecond) //nolint:forbidigo // It is what a slow server does.
		return false
	}), nil},
	"a stall now and then": {seldom(func(f *fixture, w http.ResponseWriter, r *http.Request) bool {
		return partly(f, w, r, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	}), nil},
	"nothing but stalls": {func(_ *fixture, w http.ResponseWriter, _ *http.Request, _ int) bool {
		_, _ = io.Copy(io.Discard, hijack(w))
		return true
	}, is(engine.ErrStalled)},
}

func onlyGET(
	serve func(*fixture, http.ResponseWriter, *http.Request, int) bool,
) func(*fixture, http.ResponseWriter, *http.Request, int) bool {
	return func(f *fixture, w http.ResponseWriter, r *http.Request, n int) bool {
		return r.Method == http.MethodGet && r.Header.Get("Range") != "" && serve(f, w, r, n)
	}
}

func redirect(_ *fixture, w http.ResponseWriter, _ *http.Request, _ int) bool {
	w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
	refuse(w, 307, "TemporaryRedirect")
	return true
}

func status(err error) int {
	var said minio.ErrorResponse
	errors.As(err, &said)
	return said.StatusCode
}

func is503(err error) bool { return status(err) == 503 }

// TestFaults: what is reported as arrived has every byte of the object, whatever the server
// does, and what is not has an error that says why.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range faults {
		for size, n := range map[string]int{"small": 300_000, "large": LargeSize + 99} {
			t.Run(name+", "+size, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.config.Idle = 1500 * time.Millisecond
				f.config.Connections = 4
				f.put("object", random(1, n), nil)
				f.fault = func(w http.ResponseWriter, r *http.Request, count int) bool { return tt.serve(f, w, r, count) }
				f.mustRun()
				f.mustJudge(tt.want, size)
			})
		}
	}
}

// mustJudge checks what the sink was told of the one object.
func (f *fixture) mustJudge(want func(error) bool, size string) {
	f.t.Helper()
	err := f.failed[0]
	switch {
	case want == nil, size == "small" && err == nil && len(f.got) == 1:
		f.mustHold()
	case err == nil:
		f.t.Error("it was reported as arrived")
	case !want(err):
		f.t.Errorf("unexpected error: %v", err)
	case f.wrote[0] != 0:
		f.t.Errorf("%d bytes of an object that failed count as progress", f.wrote[0])
	}
}

// A server that ignores ranges, or refuses them, gets no more of them: the next call fetches objects whole.
func TestRangesAreIgnored(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]http.HandlerFunc{
		"ignored": nil,
		"refused": func(w http.ResponseWriter, _ *http.Request) { refuse(w, 501, "NotImplemented") },
		"denied":  func(w http.ResponseWriter, _ *http.Request) { refuse(w, 416, "InvalidRange") },
		"unnamed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(rangeSize))
			w.WriteHeader(http.StatusPartialContent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put("large", random(1, LargeSize+1), nil)
			f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if serve != nil && r.Header.Get("Range") != "" {
					serve(w, r)
					return true
				}
				r.Header.Del("Range")
				f.objects["large"].give(w, r)
				return true
			}
			e := New(f.config)
			tasks := func(yield func(engine.Task) bool) { yield(f.tasks[0]) }
			want := func(err error) bool { return errors.Is(err, engine.ErrAnswer) || status(err) >= 416 }
			if err := e.Fetch(t.Context(), tasks, f, f); err != nil || !want(f.failed[0]) {
				t.Fatalf("Fetch: %v; failed: %v", err, f.failed[0])
			}
			clear(f.failed)
			if err := e.Fetch(t.Context(), tasks, f, f); err != nil {
				t.Fatal(err)
			}
			f.mustHold()
		})
	}
}

// Keys that expire while they are used are asked for again.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked atomic.Int64
	f.config.Keys = func(context.Context) (Keys, error) {
		return Keys{Access: "a", Secret: "s", Session: strconv.FormatInt(asked.Add(1), 10)}, nil
	}
	f.config.Connections = 1
	for i := range 4 {
		f.put("small"+strconv.Itoa(i), random(byte(i), 1000), nil)
	}
	large := random(9, LargeSize+1)
	f.put("large", large, withCRC(large))
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Header.Get("X-Amz-Security-Token") == "1" && n > 2 {
			refuse(w, 400, "ExpiredToken")
			return true
		}
		return false
	}
	start := time.Now()
	f.mustRun()
	f.mustHold()
	most := 10 + int64(time.Since(start)/keysFor) // A busy machine takes longer.
	if n := asked.Load(); n < 2 || n > most {
		t.Errorf("keys were asked for %d times", n)
	}
}

// A volume that refuses a write fails the object at once: S3 is not asked again.
func TestVolumeFails(t *testing.T) {
	t.Parallel()
	for key, n := range map[string]int{"small": 1000, "large": LargeSize + 1} {
		f := newFixture(t)
		f.put(key, random(1, n), nil)
		f.files[key] = &memory{f: f, data: make([]byte, n), writeErr: syscall.ENOSPC}
		f.fatal = func(err error) error { return err }
		if err := f.run(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v, want ENOSPC", key, err)
		}
		if len(f.got) > 0 {
			t.Errorf("%s was reported as arrived", key)
		}
	}
}

// A context that ends stops everything, whatever the server does, and nothing is reported after it.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Idle = time.Hour // Nothing but the context ends what hangs.
	for i := range 20 {
		f.put("small"+strconv.Itoa(i), random(byte(i), 1000), nil)
	}
	f.put("large", random(99, LargeSize+1), nil)
	var once atomic.Bool
	ctx, stop := context.WithCancelCause(t.Context())
	reason := errors.New("the test is over")
	f.fault = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n > 5 {
			if once.CompareAndSwap(false, true) {
				stop(reason)
			}
			_, _ = io.Copy(io.Discard, hijack(w))
			return true
		}
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	select {
	case err := <-ended:
		if !errors.Is(err, reason) {
			t.Errorf("Fetch: %v, want the cause of the context", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for the server")
	}
	for _, file := range f.files {
		if !file.ended {
			t.Error("a file was left open")
		}
	}
}

// When everything fails, not everything is tried.
func TestHopeless(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 2000 {
		f.put(strconv.Itoa(i), nil, nil)
	}
	f.config.Bucket.Host = "127.0.0.1:1"
	err := f.run(t.Context())
	var refused *net.OpError
	if !errors.As(err, &refused) || len(f.failed) > 2*hopeless {
		t.Errorf("Fetch: %v after %d failures", err, len(f.failed))
	}
}
