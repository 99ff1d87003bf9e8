// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
)

// What a server or a proxy says of itself passes, and what it says of the request does not.
func TestTroubleThatPasses(t *testing.T) {
	answer := func(status int, code string) error {
		return fmt.Errorf("send: %w", minio.ErrorResponse{StatusCode: status, Code: code, Message: code})
	}
	unanswered := func(err error) error { return &url.Error{Op: "Put", URL: "http://s3/bucket/key", Err: err} }
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"a proxy that does not reach the server":   {answer(http.StatusBadGateway, "502 Bad Gateway"), true},
		"a proxy that waits too long":              {answer(http.StatusGatewayTimeout, ""), true},
		"a proxy that has seen the client go":      {answer(499, ""), true},
		"a server that has not read in time":       {answer(http.StatusRequestTimeout, "RequestTimeout"), true},
		"a server that throttles":                  {answer(http.StatusServiceUnavailable, "SlowDown"), true},
		"a server that fails":                      {answer(http.StatusInternalServerError, "Odd"), true},
		"a connection that is reset":               {unanswered(syscall.ECONNRESET), true},
		"a connection that ends":                   {unanswered(io.ErrUnexpectedEOF), true},
		"a connection with trouble of no name":     {unanswered(errors.New("http: transport connection broken")), true},
		"a certificate that is not trusted":        {unanswered(x509.UnknownAuthorityError{}), false},
		"a server that does not know the request":  {answer(http.StatusNotImplemented, "NotImplemented"), false},
		"a server that refuses a condition":        {answer(http.StatusPreconditionFailed, "PreconditionFailed"), false},
		"a server that denies access":              {answer(http.StatusForbidden, "AccessDenied"), false},
		"a server that received other bytes":       {answer(http.StatusBadRequest, "BadDigest"), false},
		"a file that has become shorter meanwhile": {unanswered(errShrank), false},
		"a file that has changed":                  {errChanged, false},
	} {
		if got := passes(fault.Classifier{}, tt.err); got != tt.want {
			t.Errorf("%s: it passes: %t, want %t", name, got, tt.want)
		}
	}
}

// A copy for which there was no connection may not come later. Any other without an answer may.
func TestCopiesThatMayComeLater(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"no connection":               {&url.Error{Op: "Put", URL: "http://s3/", Err: refused}, false},
		"a connection that ends":      {&url.Error{Op: "Put", URL: "http://s3/", Err: io.EOF}, true},
		"a proxy that waits too long": {minio.ErrorResponse{StatusCode: http.StatusGatewayTimeout}, true},
		"a server that throttles":     {minio.ErrorResponse{StatusCode: http.StatusTooManyRequests}, false},
		"no error":                    {nil, false},
	} {
		x := &export{sender: &sender{}}
		if got := x.unanswered(t.Context(), tt.err); got != tt.want {
			t.Errorf("%s: it may come later: %t, want %t", name, got, tt.want)
		}
		if unasked(tt.err) && x.cannotCopy(t.Context(), manifest.Entry{}, tt.err) == nil {
			t.Errorf("%s: the file is sent instead", name)
		}
	}
}

// A request is made as often as it is said, and no longer waits are between than the longest.
func TestRequestsThatAreMadeAgain(t *testing.T) {
	s := &sender{Setup: Setup{Pause: time.Millisecond}}
	made := 0
	err := s.times(t.Context(), repeats{most: 5, first: 0, longest: time.Millisecond}, func(context.Context) error {
		made++
		return minio.ErrorResponse{StatusCode: http.StatusBadGateway}
	})
	if made != 5 || !fault.Rejected(err, http.StatusBadGateway) {
		t.Errorf("it was made %d times and ended with %v", made, err)
	}
}
