// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/engine"
)

// A server that refuses requests for checksums is asked without. Cloudflare R2 did so with 501.
func TestChecksumsAreUnknown(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{400: "InvalidArgument", 501: "NotImplemented"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put("small", random(1, 1000), nil)
			f.put("large", random(2, LargeSize+1), nil)
			f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Header.Get("X-Amz-Checksum-Mode") != "" {
					refuse(w, status, code)
					return true
				}
				return false
			}
			f.mustRun()
			f.mustHold()
		})
	}
}

// A server that takes the entity tag that it lists for another one is asked without it. What its answers
// name decides: SeaweedFS 3.97 refuses the tags of objects of earlier versions, and some want no quotes.
func TestConditionsAreNotUnderstood(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		tag    func(listed string) string // Of the answers; empty is none.
		want   func(error) bool
	}{
		"the same tag":          {412, func(s string) string { return s }, nil},
		"not implemented":       {501, func(s string) string { return s }, nil},
		"another tag":           {412, func(string) string { return "other" }, is(engine.ErrChanged)},
		"nobody names a tag":    {412, func(string) string { return "" }, is(engine.ErrChanged)},
		"nobody implements any": {501, func(string) string { return "" }, func(err error) bool { return status(err) == 501 }},
	} {
		for size, n := range map[string]int{"small": 1000, "large": LargeSize + 1} {
			t.Run(name+", "+size, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.put("object", random(1, n), nil)
				f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					if r.Header.Get("If-Match") != "" {
						refuse(w, tt.status, http.StatusText(tt.status))
						return true
					}
					o := f.objects["object"]
					o.tag = tt.tag(o.tag)
					o.give(w, r)
					return true
				}
				f.mustRun()
				f.mustJudge(tt.want, "")
			})
		}
	}
}

// TestHeadIsNotAnswered: an answer to HEAD says no reason, and some servers and proxies have no right one. It only
// says more of the sum of a large object: what a GET is told counts.
func TestHeadIsNotAnswered(t *testing.T) {
	t.Parallel()
	heads := map[string]http.HandlerFunc{
		"bad request": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) },
		"forbidden":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		"no method":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) },
		"no length":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
	}
	for name, tt := range map[string]struct {
		status int // Of GET; 0: the object.
		code   string
	}{
		"GET is answered":      {0, ""},
		"a key of a customer":  {400, "InvalidRequest"},
		"an archived object":   {403, "InvalidObjectState"},
		"a clock that differs": {403, "RequestTimeTooSkewed"},
	} {
		for head, answer := range heads {
			t.Run(name+", "+head, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.put("object", random(1, LargeSize+1), nil)
				f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					switch {
					case r.Method == http.MethodHead:
						answer(w, r)
					case tt.status > 0:
						refuse(w, tt.status, tt.code)
					default:
						return false
					}
					return true
				}
				f.mustRun()
				if tt.status == 0 {
					f.mustHold()
					return
				}
				var said minio.ErrorResponse
				if err := f.failed[0]; !errors.As(err, &said) || said.Code != tt.code {
					t.Errorf("it fails with %v, want %s", err, tt.code)
				}
			})
		}
	}
}

// TestEntityTagsInAnotherCase: what a server lists as a digest in one case it may name in the other.
func TestEntityTagsInAnotherCase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("small", random(1, 1000), nil)
	f.put("large", random(2, LargeSize+1), nil)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		o := f.objects[r.URL.Path[len("/bucket/"):]]
		o.tag = strings.ToUpper(o.tag)
		o.give(w, r)
		return true
	}
	f.mustRun()
	f.mustHold()
	for i, e := range f.got {
		if !e.Pinned {
			t.Errorf("%s: no answer named it", f.tasks[i].Key)
		}
	}
}

// TestNoContent: it is what some servers have for an object of no bytes, and for no other.
func TestNoContent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("empty", nil, nil)
	f.put("small", random(1, 1000), nil)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.Header().Set("ETag", `"`+f.objects[r.URL.Path[len("/bucket/"):]].tag+`"`)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	f.mustRun()
	if err := f.failed[0]; err != nil || !f.got[0].Pinned {
		t.Errorf("the empty object failed: %v", err)
	}
	if err := f.failed[1]; !errors.Is(err, engine.ErrAnswer) {
		t.Errorf("the other object ended with %v", err)
	}
}

// TestRangesOfWhichNothingComes: MinIO promises ranges of an object that it compressed and encrypted, and ends the
// connection. Such an object comes whole with the next call, and from a few of them on all do.
func TestRangesOfWhichNothingComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Connections = 2
	const objects = mostHollow + 2
	for i := range objects {
		f.put(strconv.Itoa(i), random(byte(i), LargeSize+1), nil)
	}
	var ranges atomic.Int64
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		var from, to int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			return false
		}
		ranges.Add(1)
		o := f.objects[r.URL.Path[len("/bucket/"):]]
		if from == 0 || r.URL.Path == "/bucket/0" {
			return false
		}
		conn := hijack(w)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nETag: \"%s\"\r\nContent-Range: bytes %d-%d/%d\r\n"+
			"Content-Length: %d\r\n\r\n", o.tag, from, to, len(o.body), to+1-from)
		_ = conn.Close()
		return true
	}
	e := New(f.config)
	defer e.Close()
	err := e.Fetch(t.Context(), slices.Values(f.tasks[:2]), f, f)
	if err != nil || !errors.Is(f.failed[1], io.ErrUnexpectedEOF) {
		t.Fatalf("Fetch: %v; failed: %v", err, f.failed)
	}
	f.failed, f.wrote = map[int]error{}, map[int]int64{}
	if err := e.Fetch(t.Context(), slices.Values(f.tasks), f, f); err != nil || len(f.failed) != objects-2 {
		t.Fatalf("Fetch: %v; failed: %v", err, f.failed)
	}
	f.failed, f.wrote = map[int]error{}, map[int]int64{}
	before := ranges.Load()
	if err := e.Fetch(t.Context(), slices.Values(f.tasks), f, f); err != nil || ranges.Load() != before {
		t.Fatalf("Fetch: %v; %d more ranges", err, ranges.Load()-before)
	}
	f.mustHold()
}
