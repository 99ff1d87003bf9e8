// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// proxy stands between mover and a real S3 server; it counts, and it misbehaves
// where fault says so.
type proxy struct {
	*httptest.Server

	// fault answers a request itself and returns true, or leaves it alone.
	fault func(w http.ResponseWriter, r *http.Request) bool
	sent  atomic.Int64 // Bytes of objects.
	gets  atomic.Int64 // Objects asked for.
	puts  sync.Map     // What S3 has answered that it has stored: keys and numbers of parts.
}

func startProxy(t testing.TB, s *s3server, fault func(http.ResponseWriter, *http.Request) bool) *proxy {
	t.Helper()
	target, err := url.Parse(s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{fault: fault}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // It is part of the signature.
		},
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodPut && r.StatusCode == http.StatusOK {
				p.puts.Store(keyOf(r.Request)+" "+r.Request.URL.Query().Get("partNumber"), true)
			}
			return nil
		},
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isObject := r.Method == http.MethodGet && keyOf(r) != ""
		if isObject {
			p.gets.Add(1)
		}
		if p.fault != nil && p.fault(w, r) {
			return
		}
		if isObject {
			w = &countingWriter{ResponseWriter: w, count: &p.sent}
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// hasStored tells that S3 has said so of an object, or of a part of one. What is sent may still be on its way.
func (p *proxy) hasStored(key, part string) bool {
	_, ok := p.puts.Load(key + " " + part)
	return ok
}

// keyOf is the object a path-style request is about.
func keyOf(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return key
}

type countingWriter struct {
	http.ResponseWriter

	count *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.count.Add(int64(n))
	return n, err
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// s3Error answers as S3 does.
func s3Error(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(
		w,
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>made by a test</Message></Error>`,
		code,
	)
	return true
}

// signAnew is for requests of a session: VersityGW knows no sessions.
func signAnew(r *http.Request) {
	for _, name := range []string{"X-Amz-Security-Token", "Authorization", "X-Amz-Date"} {
		r.Header.Del(name)
	}
	r.URL.Host = r.Host
	*r = *signer.SignV4(*r, testAccessKey, testSecretKey, "", "us-east-1")
}

// tagOf is an entity tag that the mover takes for that of the object it asks for.
func tagOf(r *http.Request) string {
	return cmp.Or(r.Header.Get("If-Match"), `"00000000000000000000000000000000"`)
}

// beginRange answers a request for an object, or for a range of it, up to some byte of the
// object. It reports false, and answers nothing, where the range ends before it.
func beginRange(w http.ResponseWriter, r *http.Request, object []byte, until int) bool {
	from, to, status := 0, len(object)-1, http.StatusOK
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(object)))
	}
	if to < until {
		w.Header().Del("Content-Range")
		return false
	}
	sum := md5.Sum(object)
	w.Header().Set("Content-Length", strconv.Itoa(to+1-from))
	w.Header().Set("ETag", cmp.Or(r.Header.Get("If-Match"), `"`+hex.EncodeToString(sum[:])+`"`))
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	w.WriteHeader(status)
	_, _ = w.Write(object[min(from, until):until])
	return true
}
