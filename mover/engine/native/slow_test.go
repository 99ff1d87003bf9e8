// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// TestASlowBodyIsNoStall: bytes come all the time, but a whole buffer of them takes longer than a
// connection may be idle.
func TestASlowBodyIsNoStall(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Idle = 4 * time.Second // More than a busy machine takes to go on.
	body := random(1, 30)
	f.put("object", body, nil)
	f.fault = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		conn := hijack(w)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: %d\r\n\r\n", f.tasks[0].ETag, len(body))
		for i := range body {
			time.Sleep(200 * time.Millisecond) //nolint:forbidigo // It is what a slow server does.
			_, _ = conn.Write(body[i : i+1])
		}
		return true
	}
	f.mustRun()
	f.mustHold()
	if n := f.requests.Load(); n != 1 {
		t.Errorf("%d requests were made", n)
	}
}

// TestWhatFollowsARangeDoesNotCount: every byte of the range is there when the answer, which tells no
// length, does not end well.
func TestWhatFollowsARangeDoesNotCount(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("object", random(1, LargeSize+1), nil)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		o := f.objects["object"]
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			return false
		}
		if to < from {
			t.Errorf("the range %d-%d was asked for", from, to)
		}
		conn := hijack(w)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nETag: \"%s\"\r\nTransfer-Encoding: chunked\r\n"+
			"Content-Range: bytes %d-%d/%d\r\n\r\n%x\r\n", o.tag, from, to, len(o.body), to-from+1)
		_, _ = conn.Write(o.body[from : to+1])
		_, _ = conn.Write([]byte("\r\n")) // The last chunk is missing.
		_ = conn.(*net.TCPConn).CloseWrite()
		return true
	}
	f.mustRun()
	f.mustHold()
}

// TestPinned: only where every answer names the object was no other one read.
func TestPinned(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 1000, "large": LargeSize + 1} {
		for untagged := range 3 { // 0: all answers have the tag; otherwise this one has not.
			f := newFixture(t)
			f.config.Connections = 1
			f.put("object", random(1, size), nil)
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				o := f.objects["object"]
				if n == untagged {
					o.give(&lying{ResponseWriter: w, header: "ETag", value: ""}, r)
				} else {
					o.give(w, r)
				}
				return true
			}
			f.mustRun()
			f.mustHold()
			want := untagged == 0 || untagged == 2 && size < LargeSize // Which is one request.
			if got := f.got[0].Pinned; got != want {
				t.Errorf("%s, without the tag in answer %d: pinned is %v", name, untagged, got)
			}
		}
	}
}

// slowTarget takes longer to make a file than a connection may be idle.
type slowTarget struct{ *fixture }

func (s slowTarget) Create(t engine.Task) (engine.File, error) {
	time.Sleep(2 * s.config.Idle) //nolint:forbidigo // It is what a slow volume does.
	return s.fixture.Create(t)
}

// TestASlowVolumeIsNoStall: S3 is not to blame for the time between the head of an answer and its body.
func TestASlowVolumeIsNoStall(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"our own connections": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.config.Idle = 4 * time.Second // Less than a busy machine takes to go on would be a stall of the server.
			f.put("object", random(1, 1_000_000), nil)
			e := New(f.config)
			defer e.Close()
			e.plain.Store(plain)
			if err := e.Fetch(t.Context(), slices.Values(f.tasks), slowTarget{f}, f); err != nil {
				t.Fatal(err)
			}
			f.mustHold()
			if n := f.requests.Load(); n != 1 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}
