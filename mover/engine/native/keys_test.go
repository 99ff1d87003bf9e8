// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// wallet is a source of keys that are renewed.
type wallet struct {
	mu      sync.Mutex
	now     Keys
	expired []string
}

func (w *wallet) keys(context.Context) (Keys, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now, nil
}

func (w *wallet) renew(k Keys) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = k
}

// signedBy is the access key of a request.
func signedBy(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

// TestASessionThatEnds: who makes sessions is told which one has ended, or else he would give the
// same keys again.
func TestASessionThatEnds(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, LargeSize + 1} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := &wallet{now: Keys{Access: "first", Secret: "s", Session: "t"}}
			f.config.Keys = w.keys
			f.config.Expired = func(access string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.expired = append(w.expired, access)
				w.now = Keys{Access: "second", Secret: "s", Session: "t"}
			}
			f.put("object", random(1, size), nil)
			f.fault = func(rw http.ResponseWriter, r *http.Request, n int) bool {
				if signedBy(r) == "first" && n > 2*(size/LargeSize) {
					refuse(rw, 403, "ExpiredToken")
					return true
				}
				return false
			}
			f.mustRun()
			f.mustHold()
			if len(w.expired) == 0 || w.expired[0] != "first" {
				t.Errorf("the keys %v are said to have expired", w.expired)
			}
		})
	}
}

// TestASecretThatIsRotated: S3 refuses the old keys although nobody has said that they expire. With
// the same keys again nothing is tried again.
func TestASecretThatIsRotated(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"InvalidAccessKeyId", "AccessDenied", "SignatureDoesNotMatch"} {
		for _, rotated := range []bool{true, false} {
			t.Run(code+strconv.FormatBool(rotated), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				w := &wallet{now: Keys{Access: "first", Secret: "s"}}
				f.config.Keys = w.keys
				f.put("object", random(1, 1000), nil)
				f.fault = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
					if signedBy(r) != "first" {
						return false
					}
					if rotated {
						w.renew(Keys{Access: "second", Secret: "s"})
					}
					refuse(rw, 403, code)
					return true
				}
				f.mustRun()
				if rotated {
					f.mustHold()
					return
				}
				if n := f.requests.Load(); status(f.failed[0]) != 403 || n != 1 {
					t.Errorf("%v after %d requests", f.failed[0], n)
				}
			})
		}
	}
}

// TestKeysThatCannotBeHadForAWhile: who makes sessions may be in trouble like any server, and is not
// asked more often than one.
func TestKeysThatCannotBeHadForAWhile(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, LargeSize + 1} {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprint(size, forever), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.config.Connections = 1
				trouble := errors.New("no session")
				var asked atomic.Int64
				f.config.Keys = func(context.Context) (Keys, error) {
					if n := asked.Add(1); forever || n < 3 {
						return Keys{}, trouble
					}
					return Keys{Access: "a", Secret: "s"}, nil
				}
				f.put("object", random(1, size), nil)
				f.mustRun()
				switch err := f.failed[0]; {
				case !forever:
					f.mustHold()
				case !errors.Is(err, trouble) || asked.Load() != mostTransient:
					t.Errorf("%v after %d questions", err, asked.Load())
				}
			})
		}
	}
}

// TestKeysThatAreRefused: nobody asks again for what only a person can correct.
func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Connections = 1
	var asked atomic.Int64
	f.config.Keys = func(context.Context) (Keys, error) {
		asked.Add(1)
		return Keys{}, fault.New(wire.AccessDenied, "the token was refused")
	}
	f.put("object", random(1, 1000), nil)
	f.mustRun()
	if err := f.failed[0]; fault.ReasonOf(err) != wire.AccessDenied || asked.Load() != 1 {
		t.Errorf("%v after %d questions", err, asked.Load())
	}
}

// TestASessionThatEndsBeforeAHead: an answer to HEAD has no body, and MinIO tells its code in a header.
func TestASessionThatEndsBeforeAHead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := &wallet{now: Keys{Access: "first", Secret: "s", Session: "t"}}
	f.config.Keys = w.keys
	f.config.Expired = func(string) { w.renew(Keys{Access: "second", Secret: "s", Session: "t"}) }
	f.put("object", random(1, LargeSize+1), nil)
	f.fault = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if signedBy(r) != "first" {
			return false
		}
		rw.Header().Set("X-Minio-Error-Code", "ExpiredToken")
		rw.WriteHeader(http.StatusForbidden)
		return true
	}
	f.mustRun()
	f.mustHold()
}
