// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAProvenMismatchIsNotForgotten: when S3 cannot be asked for the parts of an object whose
// bytes were wrong, it is not accepted for its size.
func TestAProvenMismatchIsNotForgotten(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter) bool{
		"the server is busy": func(w http.ResponseWriter) bool {
			return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		},
		"it says nothing": func(w http.ResponseWriter) bool {
			return s3Error(w, http.StatusNotImplemented, "NotImplemented")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			object := content(1, 6<<20)
			s.putParts(t, "parts", object, 5<<20)
			var lied atomic.Int64
			target, err := url.Parse(s.endpoint)
			mustDo(t, err)
			forward := &httputil.ReverseProxy{
				Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
				ModifyResponse: func(r *http.Response) error { withoutChecksums(r.Header); return nil },
			}
			p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch part := r.URL.Query().Get("partNumber"); {
				case part == "2":
					answer(w)
				case r.Method == http.MethodGet && keyOf(r) == "parts" && lied.Add(1) == 1:
					w.Header().Set("Content-Length", strconv.Itoa(len(object)))
					w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
					_, _ = w.Write(make([]byte, len(object)))
				default:
					forward.ServeHTTP(w, r)
				}
			}))
			t.Cleanup(p.Close)
			b := newBench(t, p.URL)
			b.mustBeDone(b.run())
			b.mustHold(map[string][]byte{"parts": object})
		})
	}
}

// TestKeysOfAnotherListing: mc makes a listing of its own, after ours was judged. A key that
// appears in between must not lead out of the volume, nor into our journal.
func TestKeysOfAnotherListing(t *testing.T) {
	forceMirror(t)
	for name, tt := range map[string]struct{ key, at string }{
		"out of the volume":             {"dir/../../escaped/evil", "../escaped/evil"},
		"out of it at once":             {"../escaped/evil", "../escaped/evil"},
		"the scratch directory":         {"dir/../../scratch/mc/config.json", "../scratch/mc/certs/evil"},
		"our journal":                   {".s3populator/evil", ".s3populator/evil"},
		"our journal, by a detour":      {"./.s3populator/evil", ".s3populator/evil"},
		"our journal, by another":       {"dir/../.s3populator/evil", ".s3populator/evil"},
		"a directory of the storage":    {"lost+found/evil", "lost+found/evil"},
		"a snapshot":                    {".snapshot/evil", ".snapshot/evil"},
		"a path that is cleaned":        {"dir//o000", "dir/evil"},
		"a path that is cleaned, again": {"dir/./o000", "dir/evil"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			want := small(t, s, 5)
			var asked atomic.Int64
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				switch key := keyOf(r); {
				case r.URL.Query().Has("list-type") && strings.Contains(r.UserAgent(), "mc/"):
					return forged(t, w, s, r, tt.key)
				case key == tt.key || strings.HasSuffix(r.URL.EscapedPath(), "/evil"):
					asked.Add(1)
					w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
					w.Header().Set("ETag", `"00000000000000000000000000000000"`)
					_, _ = w.Write([]byte("evil"))
					return true
				}
				return false
			})
			b := newBench(t, p.URL)
			b.mustBeDone(b.run())
			b.mustHold(want)
			if _, err := os.Lstat(filepath.Join(b.paths.Volume, tt.at)); err == nil {
				t.Errorf("%s was written", tt.at)
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("%q was asked for %d times", tt.key, n)
			}
		})
	}
}

// forged answers mc's listing with one more key in it.
func forged(t *testing.T, w http.ResponseWriter, s *s3server, r *http.Request, key string) bool {
	t.Helper()
	request := r.Clone(t.Context())
	request.RequestURI, request.URL.Scheme, request.URL.Host = "", "http", strings.TrimPrefix(s.endpoint, "http://")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(text, []byte("<Contents>")) {
		t.Errorf("the listing is %s (%v)", text, err)
	}
	one := "<Contents><Key>" + key + `</Key><LastModified>2030-01-01T00:00:00Z</LastModified>` +
		`<ETag>"x"</ETag><Size>4</Size></Contents>`
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(bytes.Replace(text, []byte("<Contents>"), []byte(one+"<Contents>"), 1))
	return true
}
