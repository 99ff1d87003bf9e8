// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestAServerThatKnowsNoChecksums is asked without, whichever way it says so.
func TestAServerThatKnowsNoChecksums(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusNotImplemented} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Amz-Checksum-Mode") != "" {
					w.WriteHeader(status)
					return
				}
				w.Header().Set("ETag", `"tag"`)
				w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
				w.Header().Set("Content-Length", "3")
			}))
			t.Cleanup(server.Close)
			r := wire.Request{Source: wire.Source{Endpoint: server.URL, Bucket: "bucket", Region: "us-east-1"}}
			r.Credentials.Kind = wire.Anonymous
			c, err := Connect(r, fault.Classifier{}, Mounts{}, func(string) string { return "" }, 0)
			if err != nil {
				t.Fatal(err)
			}
			planner, err := plan.NewPlanner(r)
			if err != nil {
				t.Fatal(err)
			}
			planner.Add("key", 3, `"tag"`)
			p, err := planner.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if info, err := c.Unchanged(t.Context(), p, p.Entries.At(0)); err != nil || info.Size != 3 {
				t.Errorf("%d bytes, %v", info.Size, err)
			}
		})
	}
}
