// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// page is one of a listing, with the token of the next one unless it is the last.
func page(next string, keys ...string) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, `<?xml version="1.0"?><ListBucketResult><IsTruncated>%v</IsTruncated>`, next != "")
	_, _ = fmt.Fprintf(&b, "<NextContinuationToken>%s</NextContinuationToken>", next)
	for _, key := range keys {
		_, _ = fmt.Fprintf(&b, "<Contents><Key>%s</Key><Size>1</Size></Contents>", key)
	}
	b.WriteString("</ListBucketResult>")
	return b.String()
}

type server func(r *http.Request) (*http.Response, error)

func (s server) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// TestAListingIsWholeOrFails: what stands in for a page, or for the end, is not taken for it.
func TestAListingIsWholeOrFails(t *testing.T) {
	const sound = "<ListBucketResult/>"
	asked := 0
	for name, tt := range map[string]struct {
		answer     func(token string) string
		wantKeys   []string
		wantReason wire.Reason // Empty: the listing ends well.
		wantText   string
		wantAsked  int // At most.
	}{
		"two pages": {answer: func(token string) string {
			return map[string]string{"": page("2", "p/a", "p/b"), "2": page("", "p/c")}[token]
		}, wantKeys: []string{"p/a", "p/b", "p/c"}, wantAsked: 2},
		"pages without a key": {answer: func(token string) string {
			return map[string]string{"": page("2"), "2": page("3"), "3": page("", "p/a")}[token]
		}, wantKeys: []string{"p/a"}, wantAsked: 3},
		"an error with status 200, then the page": {answer: func(token string) string {
			if asked == 2 {
				return "<Error><Code>InternalError</Code></Error>"
			}
			return map[string]string{"": page("2", "p/a"), "2": page("", "p/b")}[token]
		}, wantKeys: []string{"p/a", "p/b"}, wantAsked: 3},
		"an error with status 200 that stays": {answer: func(token string) string {
			return map[string]string{"": page("2", "p/a"), "2": "<Error><Code>AccessDenied</Code></Error>"}[token]
		}, wantReason: wire.AccessDenied, wantAsked: 50},
		"an error with status 200 at once": {answer: func(string) string {
			return "<?xml version='1.0'?> <Error><Code>NoSuchBucket</Code></Error>"
		}, wantReason: wire.NoSuchBucket, wantAsked: 50},
		"the page of a proxy": {answer: func(string) string {
			return "<!DOCTYPE html><html><body><p>Please log in</p></body></html>"
		}, wantReason: wire.TransferFailed, wantText: "<html>", wantAsked: 50},
		"the page of a proxy, later": {answer: func(token string) string {
			return map[string]string{"": page("2", "p/a"), "2": "<html></html>"}[token]
		}, wantReason: wire.TransferFailed, wantText: "<html>", wantAsked: 50},
		"nothing": {answer: func(string) string {
			return ""
		}, wantReason: wire.TransferFailed, wantText: "no S3 server", wantAsked: 50},
		"no document": {answer: func(string) string {
			return "OK"
		}, wantReason: wire.TransferFailed, wantText: "no S3 server", wantAsked: 50},
		"a page that follows itself": {answer: func(string) string {
			return page("2", "p/a")
		}, wantReason: wire.TransferFailed, wantText: "again and again", wantAsked: 20},
		"an empty page that follows itself": {answer: func(string) string {
			return page("2")
		}, wantReason: wire.TransferFailed, wantText: "again and again", wantAsked: 20},
		"pages that come again under other tokens": {answer: func(string) string {
			return page(fmt.Sprint(asked), fmt.Sprint("p/", asked%5), fmt.Sprint("p/x", asked%5))
		}, wantReason: wire.TransferFailed, wantText: "again and again", wantAsked: 20},
		"keys below another prefix": {answer: func(string) string {
			return page("", "p/a", "q/b")
		}, wantReason: wire.TransferFailed, wantText: `"q/b"`, wantAsked: 1},
		"a page without an end": {answer: func(token string) string {
			if token == "" {
				return page("2", "p/a")
			}
			return sound[:len(sound)-2] + strings.Repeat(" ", mostPage) + "/>"
		}, wantReason: wire.TransferFailed, wantText: "more than 32 MiB", wantAsked: 20},
		"a page that fills the bound": {answer: func(string) string {
			return sound + strings.Repeat(" ", mostPage-len(sound))
		}, wantAsked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked = 0
				c := clientOf(t, func(r *http.Request) (*http.Response, error) {
					asked++
					if asked > tt.wantAsked {
						return nil, errors.New("asked for too often")
					}
					body := strings.NewReader(tt.answer(r.URL.Query().Get("continuation-token")))
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), Request: r}, nil
				})
				var keys []string
				err := c.Each(t.Context(), func(key string, _ int64, _ string) { keys = append(keys, key) }, func(int64) {})
				if tt.wantReason == "" {
					if err != nil || !slices.Equal(keys, tt.wantKeys) {
						t.Errorf("it lists %q (%v), want %q", keys, err, tt.wantKeys)
					}
					return
				}
				if err == nil {
					t.Fatalf("it ends well, with %q", keys)
				}
				f := c.faults.Classify(err)
				if f.Reason != tt.wantReason || !strings.Contains(f.Message, tt.wantText) {
					t.Errorf("it ends with %s: %s, want %s with %q", f.Reason, f.Message, tt.wantReason, tt.wantText)
				}
			})
		})
	}
}

// TestAPageThatStalls is given up after a while: the server is there, but says nothing any more.
func TestAPageThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pages{RoundTripper: server(func(r *http.Request) (*http.Response, error) {
			gone := r.Context().Done()
			rest := readerFunc(func([]byte) (int, error) { <-gone; return 0, r.Context().Err() })
			slow := readerFunc(func(b []byte) (int, error) {
				time.Sleep(responseTimeout / 2) //nolint:forbidigo // The clock is the test's own.
				return copy(b, "<"), io.EOF
			})
			body := io.MultiReader(slow, slow, slow, slow, rest)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), Request: r}, nil
		})}
		start := time.Now()
		_, err := p.RoundTrip(get(t.Context(), t, "http://s3/bucket?list-type=2"))
		if passed := time.Since(start); !errors.Is(err, fault.ErrStalled) || passed != 3*responseTimeout {
			t.Errorf("it ends with %v after %s", err, passed)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// clientOf lists the prefix "p/" of a bucket of this server.
func clientOf(t *testing.T, s server) *Client {
	t.Helper()
	endpoint := &url.URL{Scheme: "http", Host: "s3"}
	r := wire.Request{Source: wire.Source{Endpoint: endpoint.String(), Region: "us-east-1", Bucket: "bucket", Prefix: "p"}}
	c := &Client{request: r, faults: fault.Classifier{Source: r.Source}}
	var err error
	c.S3, err = newClient(endpoint, r.Source, credentials.NewStatic("", "", "", credentials.SignatureAnonymous),
		&patient{&pages{RoundTripper: s, where: c.faults.Where()}}, clientRetries)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
