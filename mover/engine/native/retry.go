// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

func answerf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", engine.ErrAnswer, fmt.Sprintf(format, args...))
}

// kind says what to do about an error of one request.
type kind int

const (
	final     kind = iota // It will be the same again.
	transient             // The network, or a server in trouble.
	throttled             // The server asks for less.
	expired               // Other keys are needed.
	refused               // Other keys may help, if there are any.
	adapted               // The engine asks otherwise from now on.
)

// localError is one of the volume: S3 has no part in it.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// expiredCodes are what S3 and its imitations call a session that ended. An answer to HEAD
// has no body, and so no code: its status is all there is.
var expiredCodes = []string{
	"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired",
	http.StatusText(http.StatusBadRequest),
}

func kindOf(err error) kind {
	var local localError
	var said minio.ErrorResponse
	switch {
	case errors.As(err, &local), errors.Is(err, engine.ErrChanged), errors.Is(err, engine.ErrOtherVersion),
		errors.Is(err, engine.ErrAnswer), errors.Is(err, context.Canceled), distrusted(err),
		fault.ClassOf(fault.ReasonOf(err)) == wire.User:
		return final
	case errors.Is(err, errChunked):
		return adapted
	case errors.As(err, &said):
		return kindOfAnswer(said)
	}
	return transient
}

func kindOfAnswer(said minio.ErrorResponse) kind {
	switch {
	case slices.Contains(expiredCodes, said.Code):
		return expired
	case said.Code == "RequestTimeTooSkewed", said.Code == "InvalidObjectState":
		return final // They come with 403 too.
	case said.StatusCode == http.StatusUnauthorized, said.StatusCode == http.StatusForbidden:
		return refused
	case said.StatusCode == http.StatusServiceUnavailable,
		said.StatusCode == http.StatusTooManyRequests,
		said.Code == "SlowDown":
		return throttled
	case said.StatusCode >= http.StatusInternalServerError && said.StatusCode != http.StatusNotImplemented,
		said.StatusCode == http.StatusRequestTimeout, said.Code == "RequestTimeout":
		return transient
	}
	return final
}

// distrusted is for certificates: no retry makes them better.
func distrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &host)
}

// Tries in a row that bring nothing before an object is given up. The mover makes more
// rounds and attempts.
const (
	mostTransient = 4
	mostThrottled = 8
	mostExpired   = 2
	mostRefused   = 2
)

// patience counts the failures of one piece of work.
type patience struct {
	engine *Engine
	pace   *pace
	counts [adapted + 1]int
}

// reset is called when something arrived.
func (p *patience) reset() { clear(p.counts[:]) }

// again waits and reports whether to try once more.
func (p *patience) again(ctx context.Context, err error, used *signing) bool {
	if ctx.Err() != nil {
		return false
	}
	k := kindOf(err)
	p.counts[k]++
	n := p.counts[k]
	switch k {
	case final:
		return false
	case expired:
		p.engine.signer.expire(used)
		return n < mostExpired
	case refused: // A Secret that was rotated while this request was on its way.
		now := time.Now() //nolint:forbidigo // Keys are valid for a day.
		return n < mostRefused && p.engine.signer.renewed(ctx, used, now)
	case adapted:
		p.engine.plain.Store(true)
		return n == 1
	case throttled:
		p.pace.slower()
		c := newClock()
		defer c.lap(&p.engine.spent.throttled)
		return n < mostThrottled && p.wait(ctx, n)
	case transient:
		if errors.Is(err, engine.ErrStalled) { // Each takes minutes.
			return n < 2
		}
	}
	return n < mostTransient && p.wait(ctx, n)
}

// wait for a time that doubles, and differs from what other connections wait.
func (p *patience) wait(ctx context.Context, n int) bool {
	const longest = 5 * time.Second
	d := min(p.engine.config.Pause<<(n-1), longest)
	d = d/2 + rand.N(d/2+1) // #nosec G404 -- jitter.
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
