// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/wire"
)

// told is what decides whether a volume is given up that a complete export has read.
type told struct{ Objects, Links, Changed, Gone, Skipped, Special int64 }

func toldBy(r wire.Report) told {
	return told{r.Objects, r.Links, r.ChangedFiles, r.GoneFiles, r.SkippedKeys, r.SpecialFiles}
}

// The report of a complete run may be lost with its mover. The next one finds the manifest, and says the same of what
// is missing: else a last export would be believed that nobody believed before.
func TestWhatALostReportSaidIsToldAgain(t *testing.T) {
	for name, shards := range map[string]int{"with one mover": 0, "with shards": 8} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			var b *bench
			p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && keyOf(r) == "runs/1/f" { // It grows each time that it is sent.
					f, err := os.OpenFile(filepath.Join(b.paths.Volume, "f"), os.O_APPEND|os.O_WRONLY, 0)
					mustDo(t, err)
					_, err = f.WriteString("more")
					mustDo(t, err)
					mustDo(t, f.Close())
					_ = os.Remove(filepath.Join(b.paths.Volume, "z"))
				}
				return false
			})
			b = newExport(t, p.URL)
			b.many(100)
			for _, name := range []string{"z", "no\xffkey", ".snapshots/s"} {
				b.file(name, name)
			}
			mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), content(9, 1<<20), 0o600)) // More than is read at once.
			mustDo(t, os.Symlink("f", filepath.Join(b.paths.Volume, "link")))
			mustDo(t, syscall.Mkfifo(filepath.Join(b.paths.Volume, "fifo"), 0o600))
			b.request.Export.UnsafePaths, b.request.Transfer.Parallelism = wire.Skip, 1
			want := told{Objects: 101, Links: 1, Changed: 1, Gone: 1, Skipped: 2, Special: 1}
			run := b.run
			if shards > 0 {
				run = b.finishShards
				for i := range int(b.plan(shards).Shards) {
					b.mustBeDone(b.shard(i))
				}
			}
			r := b.mustBeDone(run())
			if diff := cmp.Diff(want, toldBy(r)); diff != "" {
				t.Fatalf("the first report (-want +got):\n%s", diff)
			}
			r = b.mustBeDone(run())
			if diff := cmp.Diff(want, toldBy(r)); diff != "" || !strings.Contains(r.Message, "earlier attempt; 1 paths") {
				t.Errorf("the next one says %q (-want +got):\n%s", r.Message, diff)
			}
		})
	}
}
