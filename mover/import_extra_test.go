// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// deleteExtra removes files that the source does not have, below the target, and nothing else.
func TestDeleteExtraRemovesFilesBelowTheTarget(t *testing.T) {
	s := startVersity(t)
	s.put(t, "set/a", []byte("a"))
	s.put(t, "set/dir/b", []byte("b"))
	s.put(t, "set/marker/", nil)
	for name, target := range map[string]string{"a target": "t", "the root": ""} {
		t.Run(name, func(t *testing.T) {
			b := newImport(t, s.endpoint)
			b.request.Source.Prefix, b.request.Volume.TargetPath = "set", target
			b.request.Import.DeleteExtra = true
			in := func(name string) string { return filepath.Join(target, name) }
			for _, name := range []string{"extra", "dir/extra", "gone/deep/extra", ".hidden", "both/extra", "marker/extra"} {
				b.file(in(name), "extra")
			}
			b.file(in("logs/now.log"), "excluded")
			b.file(in("both/logs/old.log"), "excluded")
			b.file(in(".nfs0000000000000001"), "removed and open, of another node")
			b.file(in(".s3populator-run-2-12345678-1"), "of another run that is at work")
			b.file(in(".s3populator-run-3-12345678-1"), "of another run that has ended")
			b.file("lost+found/x", "of the file system")
			b.file(".snapshot/x", "of the storage")
			past := time.Now().Add(-48 * time.Hour)
			mustDo(t, os.Chtimes(b.at(in(".s3populator-run-3-12345678-1")), past, past))
			mustDo(t, os.Symlink("extra", b.at(in("link"))))
			mustDo(t, os.Symlink("/etc", b.at(in("dir/out"))))
			mustDo(t, unix.Mkfifo(b.at(in("fifo")), 0o644))
			mustDo(t, os.MkdirAll(b.at(in("empty")), 0o755))
			if target != "" {
				b.file("beside", "stays")
				b.file("t2/beside", "stays")
			}
			b.request.Source.Exclude = []string{"**/*.log"}
			r := b.mustBeDone(b.run())
			if r.RemovedFiles != 7 {
				t.Errorf("the report is %+v", r)
			}
			for _, name := range []string{
				"a", "dir/b", "marker", "logs/now.log", "both/logs/old.log", ".nfs0000000000000001", "empty",
				".s3populator-run-2-12345678-1", "link", "dir/out", "fifo",
			} {
				if _, err := os.Lstat(b.at(in(name))); err != nil {
					t.Errorf("%s is gone: %v", name, err)
				}
			}
			for _, name := range []string{
				"extra", "dir/extra", "gone", ".hidden", "both/extra", "marker/extra", ".s3populator-run-3-12345678-1",
			} {
				if _, err := os.Lstat(b.at(in(name))); err == nil {
					t.Errorf("%s is there", name)
				}
			}
			outside := []string{"lost+found/x", ".snapshot/x"}
			if target != "" {
				outside = append(outside, "beside", "t2/beside")
			}
			for _, name := range outside {
				if _, err := os.Lstat(b.at(name)); err != nil {
					t.Errorf("%s is gone: %v", name, err)
				}
			}
		})
	}
}

// A prefix that ends within a name selects files by their beginning, and says nothing of others.
func TestDeleteExtraOfALiteralPrefix(t *testing.T) {
	s := startVersity(t)
	s.put(t, "logs/2026-a", []byte("a"))
	s.put(t, "logs/2027-b", []byte("b"))
	b := newImport(t, s.endpoint)
	b.request.Source.Prefix, b.request.Source.PrefixMode = "logs/2026-", "Literal"
	b.request.Import.DeleteExtra = true
	b.file("2026-extra", "x")
	b.file("2025-of the user", "x")
	b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"2026-a": []byte("a"), "2025-of the user": []byte("x")})
}

// Nothing is removed before everything is verified.
func TestDeleteExtraComesLast(t *testing.T) {
	s := startVersity(t)
	small(t, s, 3)
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodGet && keyOf(r) == "dir/o002" && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	b := newImport(t, p.URL)
	b.request.Import.DeleteExtra = true
	b.file("extra", "x")
	r := b.run()
	b.mustFailAs(r, wire.User, wire.AccessDenied)
	if _, err := os.Stat(b.at("extra")); err != nil || r.RemovedFiles != 0 {
		t.Errorf("%v; the report is %+v", err, r)
	}
}

// What is mounted below the volume belongs to somebody else.
func TestDeleteExtraLeavesOtherFileSystemsAlone(t *testing.T) {
	testenv.Root(t)
	s := startVersity(t)
	small(t, s, 1)
	b := newImport(t, s.endpoint)
	b.request.Import.DeleteExtra = true
	mustDo(t, os.Mkdir(b.at("mounted"), 0o755))
	mount(t, "tmpfs", "tmpfs", b.at("mounted"))
	b.file("mounted/x", "x")
	b.mustBeDone(b.run())
	if _, err := os.Stat(b.at("mounted/x")); err != nil {
		t.Error(err)
	}
}
