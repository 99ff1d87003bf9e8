// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/wire"
)

// A claim may be deleted and made anew between two movers of a run, before anybody has noted which one it is of. What
// the first has sent is not told as that of the second, nor is a file of it left among those.
func TestARunIsOfOneClaim(t *testing.T) {
	for name, refused := range map[string]bool{"complete": false, "begun": true} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				return refused && r.Method == http.MethodPut && keyOf(r) == "runs/1/b" &&
					s3Error(w, http.StatusForbidden, "AccessDenied")
			})
			b := newExport(t, p.URL)
			b.file("a", "a")
			b.file("b", "b")
			b.request.Transfer.Parallelism = 1
			if r := b.run(); (r.Class == wire.Done) == refused {
				t.Fatalf("the first report is %+v", r)
			}
			keys := s.keys(t, "")
			next := newExport(t, s.endpoint)
			next.request.Volume.ClaimUID = "made-anew"
			next.file("a", "another")
			if r := next.run(); r.Reason != wire.RequestRejected || !strings.Contains(r.Message, "make a new S3Export") {
				t.Errorf("the report is %+v, want %s", r, wire.RequestRejected)
			}
			if diff := cmp.Diff(keys, s.keys(t, "")); diff != "" || s.object(t, "runs/1/a") != "a" {
				t.Errorf("runs/1/a is %q (-before +after):\n%s", s.object(t, "runs/1/a"), diff)
			}
			b.request.Source.Endpoint = s.endpoint
			if r := b.mustBeDone(b.run()); r.Objects != 2 {
				t.Errorf("of its own claim is reported %+v", r)
			}
		})
	}
}
