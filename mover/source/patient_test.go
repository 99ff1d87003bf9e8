// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// sequence gives one answer after the other, and the last one for ever.
type sequence struct {
	answers []func() (*http.Response, error)
	asked   int
}

func (s *sequence) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked++
	return s.answers[min(s.asked, len(s.answers))-1]()
}

func answer(status int, body io.Reader) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(body)}, nil
	}
}

// TestAListingThatIsUnderWayIsWaitedFor: a page that fails for some seconds is asked for again.
// What has not begun, and what S3 refuses, is told at once.
func TestAListingThatIsUnderWayIsWaitedFor(t *testing.T) {
	const begun = "http://s3/bucket?list-type=2&continuation-token=x"
	whole := page("")
	broken := errors.New("connection reset")
	fails := func() (*http.Response, error) { return nil, broken }
	hangs := func() (*http.Response, error) {
		time.Sleep(responseTimeout) //nolint:forbidigo // The clock is the test's own.
		return nil, broken
	}
	breaks := answer(http.StatusOK, iotest.ErrReader(broken))
	for name, tt := range map[string]struct {
		url        string
		answers    []func() (*http.Response, error)
		wantAsked  int
		wantStatus int // 0: an error.
		wantTime   time.Duration
	}{
		"a page": {begun, []func() (*http.Response, error){answer(200, strings.NewReader(whole))}, 1, 200, 0},
		"a page after troubles": {
			begun,
			[]func() (*http.Response, error){
				answer(503, strings.NewReader("busy")), fails, breaks, answer(200, strings.NewReader(whole)),
			},
			4,
			200,
			7 * time.Second,
		},
		"a server that is down": {begun, []func() (*http.Response, error){fails}, 6, 0, 31 * time.Second},
		"a server that is busy": {
			begun,
			[]func() (*http.Response, error){func() (*http.Response, error) { return answer(503, strings.NewReader("busy"))() }},
			6, 503, 31 * time.Second,
		},
		"a server that hangs": {begun, []func() (*http.Response, error){hangs}, 1, 0, responseTimeout},
		"a refusal": {
			begun, []func() (*http.Response, error){answer(403, strings.NewReader("denied"))}, 1, 403, 0,
		},
		"the first page": {"http://s3/bucket?list-type=2", []func() (*http.Response, error){fails}, 1, 0, 0},
		"a busy server, at once": {
			"http://s3/bucket?list-type=2", []func() (*http.Response, error){answer(503, strings.NewReader("busy"))}, 1, 503, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sequence{answers: tt.answers}
				start := time.Now()
				got, err := (&patient{&pages{RoundTripper: s}}).RoundTrip(get(t.Context(), t, tt.url))
				if status := statusOf(got); status != tt.wantStatus || (err == nil) != (tt.wantStatus > 0) {
					t.Errorf("it ends with %d (%v), want %d", status, err, tt.wantStatus)
				}
				if s.asked != tt.wantAsked || time.Since(start) != tt.wantTime {
					t.Errorf("it is asked %d times in %s, want %d in %s", s.asked, time.Since(start), tt.wantAsked, tt.wantTime)
				}
				if got != nil && got.StatusCode == http.StatusOK {
					if body, err := io.ReadAll(got.Body); string(body) != whole || err != nil {
						t.Errorf("the page is %q (%v)", body, err)
					}
				}
			})
		})
	}
}

// TestAListingThatIsStopped is not waited for.
func TestAListingThatIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		start := time.Now()
		s := &sequence{
			answers: []func() (*http.Response, error){func() (*http.Response, error) { return nil, errors.New("reset") }},
		}
		next := get(ctx, t, "http://s3/bucket?list-type=2&continuation-token=x")
		if _, err := (&patient{&pages{RoundTripper: s}}).RoundTrip(next); err == nil {
			t.Error("it ends well")
		}
		if passed := time.Since(start); passed != 2*time.Second {
			t.Errorf("it ends after %s", passed)
		}
	})
}

func get(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func statusOf(r *http.Response) int {
	if r == nil {
		return 0
	}
	return r.StatusCode
}
