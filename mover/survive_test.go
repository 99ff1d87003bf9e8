// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/plan"
)

// TestALargeObjectSurvivesASmallOne: mirror fails because of a small object while most of a large
// one is still to come; it need not be asked for again.
func TestALargeObjectSurvivesASmallOne(t *testing.T) {
	onlyMC(t)
	forceMirror(t)
	s := startVersity(t)
	want := small(t, s, 5)
	want["large"] = content(5, plan.LargeSize+777)
	s.put(t, "large", want["large"])
	sum := md5.Sum(want["large"])
	var large, failures, last atomic.Int64
	var arrived atomic.Bool
	start := time.Now()
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodGet && keyOf(r) == "dir/o003" && !arrived.Load():
			failures.Add(1)
			last.Store(int64(time.Since(start)))
			w.Header().Set("Content-Length", "2003")
			_, _ = w.Write(make([]byte, 1000))
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodGet && keyOf(r) == "large":
			large.Add(1)
			w.Header().Set("Content-Length", strconv.Itoa(len(want["large"])))
			w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			_, _ = w.Write(want["large"][:1<<20])
			_ = http.NewResponseController(w).Flush()
			mirrorHasFailed := func() bool {
				return failures.Load() > 0 && time.Since(start)-time.Duration(last.Load()) > 3*time.Second
			}
			for !mirrorHasFailed() && r.Context().Err() == nil {
				time.Sleep(10 * time.Millisecond) //nolint:forbidigo // It is polled.
			}
			arrived.Store(true)
			_, _ = w.Write(want["large"][1<<20:])
			return true
		}
		return false
	})
	b := newBench(t, p.URL)
	b.mustBeDone(b.run())
	b.mustHold(want)
	if n := large.Load(); n != 1 {
		t.Errorf("the large object was asked for %d times", n)
	}
}
