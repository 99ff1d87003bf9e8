// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// stored counts the requests by which a server took content: objects, and parts of them.
type stored struct {
	mu    sync.Mutex
	times map[string]int // By key, and number of the part.
	bytes atomic.Int64   // That were sent, also of requests that were broken off.
}

// storedThrough counts what passes a proxy and was answered as stored. An answer need not have reached the mover.
func storedThrough(proxy *story.Proxy) *stored {
	c := &stored{times: map[string]int{}}
	proxy.Misbehave(story.Fault{Of: sends, Do: c.pass})
	return c
}

// sends selects requests with content.
func sends(r *http.Request) bool { return r.Method == http.MethodPut && r.ContentLength > 0 }

// pass has a request answered, and counts it.
func (c *stored) pass(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	answer := &answered{ResponseWriter: w}
	r.Body = &counting{r.Body, &c.bytes}
	honest.ServeHTTP(answer, r)
	if answer.code == http.StatusOK {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.times[r.URL.Path+" "+r.URL.Query().Get("partNumber")]++
	}
}

// counting is a body whose bytes count.
type counting struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c *counting) Read(into []byte) (int, error) {
	n, err := c.ReadCloser.Read(into)
	c.bytes.Add(int64(n))
	return n, err
}

// more waits until so many more bytes were sent.
func (c *stored) more(s *story.Story, bytes int64) {
	s.T.Helper()
	enough := c.bytes.Load() + bytes
	s.Await(fmt.Sprintf("%d more bytes to be sent", bytes), func() error {
		if sent := c.bytes.Load(); sent < enough {
			return fmt.Errorf("%d are missing", enough-sent)
		}
		return nil
	})
}

// twice are the objects and parts that were stored more than once, but for what an export keeps for itself.
func (c *stored) twice() (parts, objects []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, times := range c.times {
		switch {
		case times < 2 || strings.Contains(what, "/.s3populator/"):
		case strings.HasSuffix(what, " "):
			objects = append(objects, what)
		default:
			parts = append(parts, what)
		}
	}
	return parts, objects
}

type answered struct {
	http.ResponseWriter
	code int
}

func (a *answered) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// An export whose movers are killed at any time of their lives is whole in the end, and what S3 had stored is not sent
// again but for a part that a mover began to send in the moment of its death. No upload stays open.
func TestExportKilledAgainAndAgain(t *testing.T) {
	for name, server := range map[string]story.Server{"VersityGW": story.VersityGW, "MinIO": story.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			s.Warnings = []string{"TransferFailed"}
			bucket := s.Bucket(server)
			proxy := s.Proxy(bucket)
			sent := storedThrough(proxy)
			claim := s.Claim(story.Claim{Size: "256Mi"})
			user := s.User("user", claim.Name, "odd", story.MountPath)
			s.Output("many", claim.Name, "many", story.MountPath+"/many", "300")
			s.Output("huge", claim.Name, "write", story.MountPath+"/huge.bin", fmt.Sprint(160*story.MiB))
			want := s.Output("before", claim.Name, "tree", story.MountPath)

			e := s.Export("run", claim.Name, bucket, keptBelow("killed/"), func(e *v1alpha1.S3Export) {
				e.Spec.Destination.Endpoint = proxy.Endpoint
				e.Spec.Transfer = v1alpha1.ExportTransfer{Bandwidth: "6Mi", Parallelism: 2}
			})
			const kills = 3
			for range kills {
				mover := s.ExportMover(e)
				// Any moment will do, in which there is more to send, however late this is noticed.
				sent.more(s, story.MiB+rand.Int64N(24*story.MiB)) // #nosec G404 -- Nobody guards anything by it.
				s.Kill(mover.UID, "mover")
				s.ExportTells(e, v1alpha1.ExportPending, "TransferFailed", "tried again")
				s.Gone(mover)
			}
			done := s.Exported(e)
			if done.Status.Attempts != kills+1 {
				t.Errorf("the status says %+v", done.Status)
			}
			parts, objects := sent.twice()
			if most := kills * 2; len(parts) > 0 || len(objects) > most {
				t.Errorf("stored twice are parts %q and objects %q; %d objects may be", parts, objects, most)
			}

			comesBack(s, bucket, "killed/", want)
			s.Delete(user)
		})
	}
}
