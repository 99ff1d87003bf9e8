// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestKeysAreNotReadForEveryRequest: files are looked at once a second, and at once when S3 says
// that the keys have expired.
func TestKeysAreNotReadForEveryRequest(t *testing.T) {
	dir := t.TempDir()
	put := func(key string) {
		mount(t, filepath.Join(dir, "access_key"), key)
		mount(t, filepath.Join(dir, "secret_key"), "secret")
	}
	synctest.Test(t, func(t *testing.T) {
		put("first")
		ids := identitiesFor(
			wire.Request{Credentials: wire.Credentials{Kind: wire.SecretFiles}},
			Mounts{Credentials: dir},
			nil,
			"",
		)
		creds := credentials.New(ids)
		signs := func(want, when string) {
			t.Helper()
			v, err := creds.GetWithContext(&credentials.CredContext{Context: t.Context()})
			if err != nil || v.AccessKeyID != want {
				t.Errorf("%s, requests are signed with %q (%v), want %q", when, v.AccessKeyID, err, want)
			}
		}
		signs("first", "at first")
		put("second")
		time.Sleep(keysFor - 1) //nolint:forbidigo // The clock is the test's own.
		signs("first", "within a second")
		time.Sleep(time.Nanosecond) //nolint:forbidigo // As above.
		signs("second", "after a second")
		put("third")
		ids.Expire("first")
		signs("second", "after older keys have expired")
		ids.Expire("second")
		signs("third", "after these keys have expired")
		put("fourth")
		for range 3 {
			if id, err := ids.Get(t.Context()); err != nil || id.AccessKey != "fourth" {
				t.Errorf("mc is given %q (%v)", id.AccessKey, err)
			}
			time.Sleep(keysFor / 2) //nolint:forbidigo // As above.
		}
		signs("fourth", "after more than a second in which mc was given keys")
		put("fifth")
		if err := os.Chtimes(dir, time.Time{}, time.Unix(1, 0)); err != nil { // As by a rename.
			t.Error(err)
		}
		signs("fifth", "after names in the directory were changed")
	})
}

// TestAnExpiredSessionIsNotUsedAgain, whatever time its end was said to be.
func TestAnExpiredSessionIsNotUsedAgain(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	mount(t, token, "good")
	s := startSTS(t, time.Hour)
	ids := identitiesFor(wire.Request{
		Source:      wire.Source{Endpoint: s.URL},
		Credentials: wire.Credentials{Kind: wire.WebIdentity},
	}, Mounts{IdentityToken: token}, nil, s.URL)
	for _, step := range []struct{ expired, want string }{
		{"", "key-1"}, {"another", "key-1"}, {"key-1", "key-2"}, {"key-1", "key-2"},
	} {
		ids.Expire(step.expired)
		if id, err := ids.Get(t.Context()); err != nil || id.AccessKey != step.want {
			t.Errorf("after %q expired, the keys are %q (%v), want %q", step.expired, id.AccessKey, err, step.want)
		}
	}
}

type answering func(r *http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// TestWhoSaysThatKeysHaveExpired: S3 does, in the body of an error, which the client reads after.
func TestWhoSaysThatKeysHaveExpired(t *testing.T) {
	long := strings.Repeat("x", 10<<10)
	for name, tt := range map[string]struct {
		status int
		header string
		body   string
		want   string // The access key.
	}{
		"expired":                  {http.StatusBadRequest, "", "<Error><Code>ExpiredToken</Code></Error>" + long, "AK"},
		"expired, without a body":  {http.StatusForbidden, "ExpiredToken", "", "AK"},
		"denied":                   {http.StatusForbidden, "", "<Error><Code>AccessDenied</Code></Error>" + long, ""},
		"an object that speaks so": {http.StatusOK, "", "ExpiredToken", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			n := &noticing{expired: func(key string) { got = key }, RoundTripper: answering(func(*http.Request) *http.Response {
				return &http.Response{
					StatusCode: tt.status,
					Header:     http.Header{"X-Minio-Error-Code": {tt.header}},
					Body:       io.NopCloser(bytes.NewReader([]byte(tt.body))),
				}
			})}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://s3/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(
				"Authorization",
				"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x",
			)
			answer, err := n.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(answer.Body); string(body) != tt.body || err != nil {
				t.Errorf("the client reads %d bytes (%v), want %d", len(body), err, len(tt.body))
			}
			if got != tt.want {
				t.Errorf("the keys that expired are %q, want %q", got, tt.want)
			}
		})
	}
}
