// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// A server that answers before it has read a file still reads it while the request is tried again: nothing of the
// first request may move what the second one sends. The race detector is what sees it.
func TestAnAnswerThatComesBeforeTheFileWasRead(t *testing.T) {
	s := startVersity(t)
	var early atomic.Int64
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(keyOf(r), "/f") || early.Add(1) > 2 {
			return false
		}
		some := make([]byte, 4096)
		_, _ = r.Body.Read(some)
		_ = http.NewResponseController(w).EnableFullDuplex()
		return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
	})
	b := newExport(t, p.URL)
	text := string(content(1, 15<<20)) // Of one request, and more than any buffer between here and there.
	b.file("f", text)
	if r := b.run(); r.Class != wire.Done || s.object(t, "runs/1/f") != text {
		t.Errorf("the report is %+v", r)
	}
	if early.Load() < 3 {
		t.Errorf("the file was asked for %d times", early.Load())
	}
}
