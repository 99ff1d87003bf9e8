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
	"github.com/s3populator/s3populator/mover/wire"
)

// TestALargeObjectSurvivesASmallOne: mirror fails because of a small object while most of a large
// one is still to come; it need not be asked for again.
func TestALargeObjectSurvivesASmallOne(t *testing.T) {
	onlyMC(t) // TestALargeObjectSurvivesASmallOneOfNative.
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

// TestALargeObjectSurvivesASmallOneOfNative: all tries for a small object fail while ranges of a large
// one are still to come; none of them is asked for twice.
func TestALargeObjectSurvivesASmallOneOfNative(t *testing.T) {
	s := startVersity(t)
	want := small(t, s, 5)
	want["large"] = content(5, 2*plan.LargeSize+777)
	s.put(t, "large", want["large"])
	var failures, large atomic.Int64
	var arrived atomic.Bool
	asked := make(chan string, 100)
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodGet && keyOf(r) == "dir/o003" && !arrived.Load():
			failures.Add(1)
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodGet && keyOf(r) == "large":
			asked <- r.Header.Get("Range")
			if large.Add(1) > 1 {
				return false
			}
			for failures.Load() < 4 && r.Context().Err() == nil { // As often as the engine tries.
				time.Sleep(10 * time.Millisecond) //nolint:forbidigo // It is polled.
			}
			arrived.Store(true)
		}
		return false
	})
	b := newBench(t, p.URL)
	b.request.Transfer.Engine = wire.EngineNative
	b.mustBeDone(b.run())
	b.mustHold(want)
	close(asked)
	seen := map[string]bool{}
	for r := range asked {
		if r == "" || seen[r] {
			t.Errorf("the range %q was asked for twice, or was none", r)
		}
		seen[r] = true
	}
	if failures.Load() < 4 || len(seen) < 2 {
		t.Errorf("the small object failed %d times, and %d ranges were asked for", failures.Load(), len(seen))
	}
}
