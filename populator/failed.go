// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// wordsLimit bounds what is repeated of an API server's answer, in bytes.
const wordsLimit = 600

// failed counts a write that failed. It returns after what time to try
// again, and whether the claim's user is to hear of it yet.
func (r *Reconciler) failed(ctx context.Context, w write, err error, now time.Time) (time.Duration, bool) {
	s := r.setbacks.failed(w, now, !stale(err))
	after, patience := s.next.Sub(now), time.Duration(0)
	switch {
	case stale(err) && now.Sub(s.since) < stalePatience:
		return after, false
	case transient(err) && !stale(err):
		patience = transientPatience
	}
	failedWrites.Count(w.what)
	log.FromContext(ctx).Info("Write failed, trying again later", "write", w.what, "error", err.Error(), "after", after,
		"times", s.times)
	return after, now.Sub(s.since) >= patience
}

// transient tells that an error mostly passes by itself: an API server or a webhook that
// restarts or is overloaded, or a connection that broke. What is left is a refusal.
func transient(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

// words are an error on one line of bounded length.
func words(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > wordsLimit {
		text = strings.ToValidUTF8(text[:wordsLimit], "") + "…"
	}
	return text
}
