// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// FuzzAnswer: whatever a server says, what is believed of it is a length, a range and a sum that can be.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 206 Partial Content\r\nETag: W/\"x\"\r\nContent-Range: bytes 0-99/200\r\nContent-Length: 100"))
	f.Add([]byte("HTTP/1.0 200 OK\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\nx-amz-checksum-type: FULL_OBJECT"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nx-amz-checksum-sha256: AAAA-3\r\nTransfer-Encoding: chunked\r\nConnection: close"))
	f.Add([]byte("HTTP/1.1 416\r\nContent-Range: bytes */5\r\n\r\nContent-Length: -1"))
	f.Fuzz(func(t *testing.T, head []byte) {
		var a answer
		if a.parse(head) != nil {
			return
		}
		if a.status < 100 || a.status > 999 || a.length < -1 {
			t.Errorf("status %d, length %d", a.status, a.length)
		}
		if p := a.part; p != (engine.Range{}) && (p.Offset < 0 || p.Length <= 0 || p.End() < p.Offset) {
			t.Errorf("the range %+v", p)
		}
		for _, known := range algorithms {
			if known.algo == a.said.Algorithm &&
				slices.ContainsFunc(a.said.Value[known.size:], func(b byte) bool { return b != 0 }) {
				t.Errorf("the sum %+v is longer than %d bytes", a.said, known.size)
			}
		}
	})
}

// FuzzServer: what is reported as arrived is as long as the object, and has the sum that is said of it,
// whatever comes on the connection.
func FuzzServer(f *testing.F) {
	const good = "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\nbytes"
	f.Add([]byte(good))
	f.Add([]byte(good + "more"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n" + good))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbyt\r\n2\r\nes\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n" + good))
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\n\r\n<Error><Code>ExpiredToken</Code></Error>"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := newFixtureOf(t)
		s.tasks = []engine.Task{{Key: "k", Path: "k", ETag: "x", Size: 5}}
		s.config = Config{
			Bucket: &url.URL{Scheme: "http", Host: "s3.invalid", Path: "/bucket"}, Region: "r",
			Connections: 1, Idle: time.Second, Pause: time.Microsecond,
			Keys: func(context.Context) (Keys, error) { return Keys{Access: "a", Secret: "s"}, nil },
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				go func() {
					_, _ = io.Copy(far, bytes.NewReader(stream))
					_ = far.Close()
				}()
				return near, nil
			},
		}
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		e, arrived := s.got[0]
		if !arrived {
			if s.failed[0] == nil {
				t.Fatal("nothing was told of the object")
			}
			return
		}
		var want summer
		want.begin(e.Received.Algorithm, 0, 5)
		want.write(s.files["k"].data)
		if !s.files["k"].committed || e.Fetched != 5 || e.Received != want.end() {
			t.Errorf("of %q arrived %+v with %q", stream, e, s.files["k"].data)
		}
	})
}
