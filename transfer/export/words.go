// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// wordsLimit bounds what is repeated of an API server's answer, in bytes.
const wordsLimit = 600

// passing errors are those of an API server, or a webhook, that restarts or is overloaded; and of one
// whose admission does not know S3Export yet, which was defined a moment ago.
func passing(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot find RESTMapping") {
		return true
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err) ||
		apierrors.IsConflict(err)
}

// words are an error on one line of bounded length.
func words(err error) string {
	text := strings.TrimRight(strings.Join(strings.Fields(err.Error()), " "), ". ")
	if len(text) > wordsLimit {
		text = strings.ToValidUTF8(text[:wordsLimit], "") + "…"
	}
	return text
}
