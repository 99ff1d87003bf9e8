// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
)

// noticing tells of keys that S3 takes for expired, before the client tries the request again.
type noticing struct {
	http.RoundTripper

	expired func(accessKey string)
}

// RoundTrip implements http.RoundTripper.
func (n *noticing) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := n.RoundTripper.RoundTrip(r)
	if err == nil && isExpired(answer) {
		n.expired(signedWith(r))
	}
	return answer, err //nolint:wrapcheck // It is handed through.
}

var signature = regexp.MustCompile(`Credential=([^/,\s]+)/`)

// signedWith is the access key of a request; empty where it has none.
func signedWith(r *http.Request) string {
	if found := signature.FindStringSubmatch(r.Header.Get("Authorization")); found != nil {
		return found[1]
	}
	return ""
}

// isExpired looks for the codes that S3 has for expired keys, and leaves the answer as it was.
func isExpired(answer *http.Response) bool {
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
	default:
		return false
	}
	const most = 4 << 10 // An error of S3 is shorter.
	text, err := io.ReadAll(io.LimitReader(answer.Body, most))
	rest := io.Reader(answer.Body)
	if err != nil {
		rest = failing{err}
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), rest), answer.Body}
	text = append(text, answer.Header.Get(codeHeader)...)
	for _, code := range []string{"ExpiredToken", "TokenRefreshRequired"} {
		if bytes.Contains(text, []byte(code)) {
			return true
		}
	}
	return false
}

// failing gives the error that a reader has given before.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
