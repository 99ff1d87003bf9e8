// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o700))
	must(t, os.WriteFile(name, []byte(content), 0o600))
}

func TestWalkFindsAllAndFollowsNothing(t *testing.T) {
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "secret"), "secret")
	mount := t.TempDir()
	in := func(name string) string { return filepath.Join(mount, "data", name) }
	for name, content := range map[string]string{
		"a": "1", "a.b": "22", "a-/x": "", "dir/.hidden": "4", "-rf": "", "new\nline %41+ ü u\u0308": "7",
		"lost+found/x":     "unsafe",
		"dir/lost+found/x": "yes", "not\xffUTF-8": "unsafe",
		strings.Repeat("d", 200) + "/" + strings.Repeat("x", 200): "long",
	} {
		writeFile(t, in(name), content)
	}
	must(t, os.Mkdir(in("empty"), 0o700))
	must(t, os.Chmod(in("empty"), 0o750|os.ModeSetgid))
	must(t, os.Symlink(outside, in("out")))
	must(t, os.Symlink("dir", in("to-dir")))
	must(t, os.Symlink("no\xffwhere", in("dangling")))
	must(t, unix.Mkfifo(in("fifo"), 0o600))

	got, err := Walk(t.Context(), mount, "data", strings.Repeat("p", 650)+"/")
	must(t, err)
	lines := make([]string, 0, len(got.Entries))
	for _, e := range got.Entries {
		lines = append(lines, string(e.Type)+" "+e.Path)
		var stat unix.Stat_t
		must(t, unix.Lstat(in(e.Path), &stat))
		if e.Inode != stat.Ino || e.ModTime != stat.Mtim.Nano() || e.UID != stat.Uid || e.Mode != stat.Mode&0o7777 ||
			e.Type == manifest.File && e.Size != stat.Size {
			t.Errorf("%q is %+v, want what lstat says: %+v", e.Path, e, stat)
		}
		if want, _ := os.Readlink(in(e.Path)); string(e.Target) != want {
			t.Errorf("%q leads to %q, want %q", e.Path, e.Target, want)
		}
	}
	want := []string{
		"file -rf", "file a", "directory a-", "file a-/x", "file a.b", "link dangling",
		"directory " + strings.Repeat("d", 200),
		"directory dir", "file dir/.hidden", "directory dir/lost+found", "file dir/lost+found/x", "directory empty",
		"file new\nline %41+ ü u\u0308", "link out", "link to-dir",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Special != 1 || got.Unsafe.Count != 3 || len(got.Unsafe.First) != 3 || got.Denied.Count != 0 {
		t.Errorf("%d special, unsafe %+v, denied %+v", got.Special, got.Unsafe, got.Denied)
	}
}

func TestWalkOfAPathThatIsNoDirectory(t *testing.T) {
	outside, mount := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(mount, "file"), "")
	must(t, os.Symlink(outside, filepath.Join(mount, "absolute")))
	must(t, os.Symlink(".", filepath.Join(mount, "link")))
	for _, directory := range []string{"absent", "file", "file/x", "absolute", "link", "link/link", "../x"} {
		if _, err := Walk(t.Context(), mount, directory, ""); fault.ReasonOf(err) != wire.PathNotFound {
			t.Errorf("Walk(%q): %v, want %s", directory, err, wire.PathNotFound)
		}
	}
}

func TestWalkLeavesOutWhatTheStorageKeepsAtTheRoot(t *testing.T) {
	mount := t.TempDir()
	for _, name := range []string{"lost+found/x", ".snapshots/x", ".s3populator/journal", ".snapshot", "a"} {
		writeFile(t, filepath.Join(mount, name), "x")
	}
	got, err := Walk(t.Context(), mount, "", "")
	must(t, err)
	if len(got.Entries) != 1 || got.Entries[0].Path != "a" {
		t.Errorf("found %+v, want a", got.Entries)
	}
	// A file is nothing that a storage keeps.
	if got.Unsafe.Count != 1 || !strings.Contains(got.Unsafe.First[0], `".snapshot"`) {
		t.Errorf("unsafe are %+v, want .snapshot", got.Unsafe)
	}
}
