// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"net/http"
	"time"
)

// dated tells a refusal for the time of a request from one for want of rights, where S3 does not: an answer to HEAD has
// no body, and so no code. When S3 has answered says it. It adds the header in which MinIO tells its codes, and which
// the client reads.
type dated struct{ http.RoundTripper }

// Headers of MinIO for what a body would say.
const (
	codeHeader  = "X-Minio-Error-Code"
	wordsHeader = "X-Minio-Error-Desc"
)

// RoundTrip implements http.RoundTripper.
func (d *dated) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodHead || answer.StatusCode != http.StatusForbidden ||
		answer.Header.Get(codeHeader) != "" {
		return answer, err //nolint:wrapcheck // It is handed through.
	}
	if by := apart(r, answer); by > mostApart {
		answer.Header.Set(codeHeader, "RequestTimeTooSkewed")
		answer.Header.Set(wordsHeader, fmt.Sprintf("S3 refuses a request without a reason, and its time is %s apart", by))
	}
	return answer, nil
}

// mostApart is how far a request may be from the time of an answer to it. S3 refuses what is 15 min from its own time
// when it arrives; an answer is dated a moment later, in whole seconds.
const mostApart = 15*time.Minute - 10*time.Second

// apart is how far the times of a signed request and its answer are from each other; 0 where one has none.
func apart(r *http.Request, answer *http.Response) time.Duration {
	asked, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return 0
	}
	answered, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return answered.Sub(asked).Abs()
}
