// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/webhook"
)

// limits bound what all callers of some paths together can make us hold: every pod of the
// cluster may reach the port, and admission shares its memory with the controllers.
type limits struct {
	body  int64         // Bytes of a request's body.
	read  time.Duration // For reading it.
	wait  time.Duration // For a place; a caller that waits holds no body.
	place chan struct{} // Requests at once.
}

// newLimits are those of the paths that we serve. A claim is below 300 KiB, because Kubernetes
// bounds annotations at 256 KiB; a review of 1 MiB takes 16 MiB at worst (a test measures it),
// so eight of them leave room below the memory limit of 256Mi. A review takes a tenth of a
// millisecond, so eight at once are many thousand a second.
func newLimits() map[string]*limits {
	reviews := &limits{body: 1 << 20, read: 3 * time.Second, wait: 3 * time.Second, place: make(chan struct{}, 8)}
	progress := &limits{body: 4 << 10, read: 3 * time.Second, wait: time.Second, place: make(chan struct{}, 32)}
	return map[string]*limits{
		webhook.PathClaims: reviews, webhook.PathSelected: reviews, webhook.PathExports: reviews, wire.ProgressPath: progress,
	}
}

var errBusy = errors.New("too many requests at once; try again")

// wrap hands a request on when there is a place, with its whole body.
func (l *limits) wrap(hook http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > l.body {
			l.tooLarge(w)
			return
		}
		if err := l.enter(r.Context()); err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer func() { <-l.place }()
		body, err := l.bodyOf(w, r)
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			l.tooLarge(w)
		case errors.Is(err, os.ErrDeadlineExceeded):
			http.Error(w, "the body took longer than "+l.read.String(), http.StatusRequestTimeout)
		case err != nil:
			http.Error(w, "read the body: "+err.Error(), http.StatusBadRequest)
		default:
			r.Body = io.NopCloser(bytes.NewReader(body))
			hook.ServeHTTP(w, r)
		}
	})
}

func (l *limits) enter(ctx context.Context) error {
	patience := time.NewTimer(l.wait)
	defer patience.Stop()
	select {
	case l.place <- struct{}{}:
		return nil
	case <-ctx.Done():
	case <-patience.C:
	}
	return errBusy
}

// bodyOf reads the body; who sends it slowly loses the connection.
func (l *limits) bodyOf(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(l.read)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err //nolint:wrapcheck // wrap answers with it.
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, l.body))
	if err != nil {
		return nil, err //nolint:wrapcheck // wrap answers with it.
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err //nolint:wrapcheck // wrap answers with it.
	}
	return body, nil
}

func (l *limits) tooLarge(w http.ResponseWriter) {
	http.Error(w, "the body is larger than "+strconv.FormatInt(l.body, 10)+" bytes", http.StatusRequestEntityTooLarge)
}
