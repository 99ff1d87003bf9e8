// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestWhatFollowsAnAnswerIsNoAnswer: a server may send a body to HEAD, or more than it told. On a
// connection that is kept it comes in front of the next answer.
func TestWhatFollowsAnAnswerIsNoAnswer(t *testing.T) {
	t.Parallel()
	isWhole := func(r *http.Request) bool { return r.Method == http.MethodGet && r.Header.Get("Range") == "" }
	isRange := func(r *http.Request) bool { return r.Header.Get("Range") != "" }
	const another = "HTTP/1.1 200 OK\r\nETag: \"another\"\r\nContent-Length: 5\r\n\r\nother"
	for name, tt := range map[string]struct {
		after func(r *http.Request) bool
		comes string
	}{
		"a body of HEAD":          {func(r *http.Request) bool { return r.Method == http.MethodHead }, "the object\r\n\r\n"},
		"too long a body":         {isWhole, "more\r\n\r\n"},
		"too long a range":        {isRange, "more\r\n\r\n"},
		"an answer to nobody":     {isWhole, another},
		"a range and one of more": {isRange, another},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.config.Connections = 1
			f.put("small", random(1, 1000), nil)
			f.put("large", random(2, LargeSize+1), nil)
			f.put("another", random(3, 1000), nil)
			f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				conn := hijack(w)
				defer conn.Close()
				for requests := bufio.NewReader(conn); r != nil; r, _ = http.ReadRequest(requests) {
					answer := httptest.NewRecorder()
					f.objects[r.URL.Path[len("/bucket/"):]].give(answer, r)
					_ = answer.Result().Write(conn)
					if tt.after(r) {
						time.Sleep(20 * time.Millisecond) //nolint:forbidigo // The client has read the answer by then.
						_, _ = conn.Write([]byte(tt.comes))
					}
				}
				return true
			}
			f.mustRun()
			f.mustHold()
		})
	}
}
