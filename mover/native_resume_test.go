// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestWhatNobodyCanVouchForComesAgainAtOnce: where sizes are all that is compared, what had arrived of
// an object is not gone on with: it would only be found out in the end that all of it has to come.
func TestWhatNobodyCanVouchForComesAgainAtOnce(t *testing.T) {
	s := startVersity(t)
	object := content(5, 2*plan.LargeSize)
	s.put(t, "large", object)
	var refused atomic.Int64
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		const tries = 4
		first := strings.HasPrefix(r.Header.Get("Range"), "bytes=0-")
		return first && refused.Add(1) <= tries && s3Error(w, http.StatusInternalServerError, "InternalError")
	})
	b := newBench(t, p.URL)
	b.request.Transfer = wire.Transfer{Engine: wire.EngineNative, Verify: "Size"}
	r := b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"large": object})
	if most := int64(len(object)) * 7 / 4; r.FetchedBytes > most || refused.Load() < 4 {
		t.Errorf("%d bytes were fetched of %d, want %d at most", r.FetchedBytes, len(object), most)
	}
	if n := strings.Count(b.log.String(), "fetching again"); n != 1 {
		t.Errorf("the log tells of %d more rounds, want 1:\n%s", n, b.log.String())
	}
}
