// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// answer answers a request itself and returns true, or leaves it to the server.
type answer func(w http.ResponseWriter, r *http.Request) bool

// startHandler stands before a server and misbehaves where fault says so. It returns its
// address.
func startHandler(t testing.TB, s *server, fault answer) string {
	t.Helper()
	h := httptest.NewServer(forward(t, s, fault))
	t.Cleanup(func() {
		h.CloseClientConnections() // One of them may be held for ever.
		h.Close()
	})
	return strings.TrimPrefix(h.URL, "http://")
}

// forward hands to a server what fault does not answer.
func forward(t testing.TB, s *server, fault answer) http.Handler {
	t.Helper()
	target, err := url.Parse("http://" + s.address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // It is part of the signature.
			if r.In.Header.Get(tokenHeader) != "" {
				signAnew(r.Out)
			}
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // Clients that hang up are part of the tests.
		ModifyResponse: func(res *http.Response) error {
			if change, ok := res.Request.Context().Value(changeKey{}).(func(*http.Response)); ok {
				change(res)
			}
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	})
}

const tokenHeader = "X-Amz-Security-Token"

// signAnew is for requests of a session: VersityGW knows no sessions.
func signAnew(r *http.Request) {
	for _, name := range []string{tokenHeader, "Authorization", "X-Amz-Date"} {
		r.Header.Del(name)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded") || name == "Connection" {
			r.Header.Del(name)
		}
	}
	*r = *signer.SignV4(*r, accessKey, secretKey, "", region)
}

type changeKey struct{}

// isGet tells requests for the bytes of an object, or of any when key is empty.
func isGet(r *http.Request, key string) bool {
	got := keyOf(r.URL.Path)
	return r.Method == http.MethodGet && got != "" && (key == "" || got == key) && !r.URL.Query().Has("attributes")
}

// s3Error answers as S3 does.
func s3Error(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(
		w,
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>made by a test</Message></Error>`,
		code,
	)
	return true
}

// times is true for the first n calls, or for all when n is negative.
type times struct {
	n     int64
	calls atomic.Int64
}

func (t *times) next() bool {
	n := t.calls.Add(1)
	return t.n < 0 || n <= t.n
}

// lyingBody changes what a real answer of the server has as its body. The head stays: the
// entity tag and the checksums in it are those of the right bytes.
type lyingBody struct {
	io.ReadCloser

	change func(p []byte, at int64) // Of bytes at an offset of the answer.
	at     int64
}

func (b *lyingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.change(p[:n], b.at)
	b.at += int64(n)
	return n, err
}

// flipped has one other bit in its first byte, which its length does not tell.
func flipped(res *http.Response) {
	res.Body = &lyingBody{ReadCloser: res.Body, change: func(p []byte, at int64) {
		if at == 0 && len(p) > 0 {
			p[0] ^= 1
		}
	}}
}

// zeroed has zeros behind its first half, as a page that was never written.
func zeroed(res *http.Response) {
	half := res.ContentLength / 2
	res.Body = &lyingBody{ReadCloser: res.Body, change: func(p []byte, at int64) {
		clear(p[min(max(half-at, 0), int64(len(p))):])
	}}
}

// cut ends in the middle, although the head promises all.
func cut(res *http.Response) {
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, res.ContentLength/2), res.Body}
}

// shortened is cut, and its head promises no more than what comes.
func shortened(res *http.Response) {
	cut(res)
	res.ContentLength /= 2
	res.Header.Set("Content-Length", fmt.Sprint(res.ContentLength))
}

// stalling says nothing any more after its first thousand bytes, until the client hangs up.
func stalling(res *http.Response) {
	gone := res.Request.Context().Done()
	never := readerFunc(func([]byte) (int, error) { <-gone; return 0, io.ErrUnexpectedEOF })
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(res.Body, 1000), never), res.Body}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
