// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// A part that was on its way when its upload was ended may bring the upload back: S3 documents that
// it may have to be ended more than once. Here the first end of each upload comes to nothing.
func TestAnUploadThatOutlivesItsEnd(t *testing.T) {
	for what, aborted := range map[string]bool{"the next attempt ends it": false, "the export is aborted": true} {
		t.Run(what, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { endedTwice(t, s, aborted) })
		})
	}
}

func endedTwice(t *testing.T, s *s3server, aborted bool) {
	var mu sync.Mutex
	ended := map[string]int{}
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		id := r.URL.Query().Get("uploadId")
		if r.Method != http.MethodDelete || id == "" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		ended[id]++
		if ended[id] > 1 {
			return false
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	b := newExport(t, p.URL)
	large := filepath.Join(b.paths.Volume, "large")
	mustDo(t, os.WriteFile(large, content(1, 40<<20), 0o600))
	b.request.Transfer.BytesPerSecond = 8 << 20
	cmd := b.spawn()
	waitFor(t, time.Minute, "the upload has begun", func() bool { return len(s.uploads(t)) == 1 })
	mustDo(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	b.request.Attempt, b.request.Transfer.BytesPerSecond = 2, 0
	if aborted {
		b.request.Operation, b.request.Volume = wire.Abort, wire.Volume{}
	} else {
		mustDo(t, os.Remove(large))
	}
	b.mustBeDone(b.run())
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ended) == 0 {
		t.Error("nothing was ended, so nothing was shown")
	}
}
