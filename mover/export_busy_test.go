// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// A large file that is written in its midst all the time, as that of a database, does change while each of
// its parts is read twice. The part is read again, not the file: else it would never be exported.
func TestALargeFileThatIsWrittenAllTheTime(t *testing.T) {
	s := startVersity(t)
	var b *bench
	var mu sync.Mutex
	hit := map[string]int{}
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		part := r.URL.Query().Get("partNumber")
		if r.Method != http.MethodPut || part == "" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		upload := r.URL.Query().Get("uploadId") + part
		hit[upload]++
		if hit[upload] > 1 {
			return false
		}
		n, err := strconv.ParseInt(part, 10, 64)
		mustDo(t, err)
		f, err := os.OpenFile(filepath.Join(b.paths.Volume, "db"), os.O_WRONLY, 0)
		mustDo(t, err)
		_, err = f.WriteAt([]byte(upload), n*16<<20-1024) // What is not under way yet.
		mustDo(t, err)
		mustDo(t, f.Close())
		return false
	})
	b = newExport(t, p.URL)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "db"), content(5, 96<<20), 0o600))
	if r := b.mustBeDone(b.run()); r.ChangedFiles != 1 || r.Objects != 1 {
		t.Errorf("the report is %+v", r)
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
}
