// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// walk scans all of a path below a mount point.
func walk( //nolint:revive // As a request has them.
	t *testing.T, mount, at, prefix string, include, exclude []string,
) (*Scan, error) {
	t.Helper()
	tree, err := OpenTree(mount, at)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	filter, err := plan.NewFilter(wire.Source{Include: include, Exclude: exclude})
	must(t, err)
	return tree.Scan(t.Context(), prefix, filter)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o700))
	must(t, os.WriteFile(name, []byte(content), 0o600))
}

func TestAScanFindsAllAndFollowsNothing(t *testing.T) {
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "secret"), "secret")
	mount := t.TempDir()
	in := func(name string) string { return filepath.Join(mount, "data", name) }
	for name, content := range map[string]string{
		"a": "1", "a.b": "22", "a-/x": "", "dir/.hidden": "4", "-rf": "", "new\nline %41+ ü u\u0308": "7",
		"lost+found/x":     "unsafe",
		"dir/lost+found/x": "yes", "not\xffUTF-8": "unsafe", "no\x01XML": "unsafe",
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

	got, err := walk(t, mount, "data", strings.Repeat("p", 650)+"/", nil, nil)
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
	if got.Special != 1 || got.Unsafe.Count != 4 || len(got.Unsafe.First) != 3 || got.Denied.Count != 0 {
		t.Errorf("%d special, unsafe %+v, denied %+v", got.Special, got.Unsafe, got.Denied)
	}
}

func TestAPathThatIsNotThere(t *testing.T) {
	outside, mount := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(mount, "file"), "")
	must(t, os.Symlink(outside, filepath.Join(mount, "absolute")))
	must(t, os.Symlink(".", filepath.Join(mount, "link")))
	must(t, unix.Mkfifo(filepath.Join(mount, "fifo"), 0o600))
	for _, directory := range []string{"absent", "file/x", "fifo", "link/file", "absolute", "link", "link/link", "../x"} {
		if _, err := walk(t, mount, directory, "", nil, nil); fault.ReasonOf(err) != wire.PathNotFound {
			t.Errorf("%q: %v, want %s", directory, err, wire.PathNotFound)
		}
	}
}

// What is of another file system is no part of the volume: the storage shows its snapshots there.
func TestSnapshotsThatTheStorageShowsAreNoneOfTheVolume(t *testing.T) {
	testenv.Root(t)
	mount := t.TempDir()
	shown := filepath.Join(mount, ".snapshot")
	must(t, os.Mkdir(shown, 0o700))
	must(t, unix.Mount("tmpfs", shown, "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(shown, unix.MNT_DETACH)) })
	writeFile(t, filepath.Join(shown, "hourly.0/a"), "x")
	if got, err := walk(t, mount, "", "", nil, nil); err != nil || got.Kept != 0 || len(got.Entries) > 0 {
		t.Errorf("the scan is %+v: %v", got, err)
	}
}

func TestAScanLeavesOutWhatTheStorageKeepsAtTheRoot(t *testing.T) {
	mount := t.TempDir()
	for _, name := range []string{"lost+found/x", ".snapshots/x", ".s3populator/journal", ".snapshot", "a"} {
		writeFile(t, filepath.Join(mount, name), "x")
	}
	must(t, os.Mkdir(filepath.Join(mount, "b"), 0o700))
	got, err := walk(t, mount, "", "", nil, nil)
	must(t, err)
	if diff := cmp.Diff([]string{"file a", "directory b"}, paths(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// lost+found and .snapshots; the third is ours.
	if got.Kept != 2 {
		t.Errorf("%d directories of the storage are told, want 2", got.Kept)
	}
	must(t, os.Remove(filepath.Join(mount, "lost+found/x")))
	if got, err = walk(t, mount, "", "", nil, []string{".snapshots/**"}); err != nil || got.Kept != 0 {
		t.Errorf("%d of what is empty or not selected are told: %v", got.Kept, err)
	}
	got, err = walk(t, mount, "", "", nil, nil)
	must(t, err)
	// A file is nothing that a storage keeps.
	if got.Unsafe.Count != 1 || !strings.Contains(got.Unsafe.First[0], `".snapshot"`) {
		t.Errorf("unsafe are %+v, want .snapshot", got.Unsafe)
	}
}

func paths(s *Scan) []string {
	var list []string
	for _, e := range s.Entries {
		list = append(list, string(e.Type)+" "+e.Path)
	}
	return list
}

func TestAScanOfOneFile(t *testing.T) {
	mount := t.TempDir()
	writeFile(t, filepath.Join(mount, "a/b.bin"), "content")
	writeFile(t, filepath.Join(mount, "a/c.bin"), "other")
	got, err := walk(t, mount, "a/b.bin", "", nil, nil)
	must(t, err)
	if diff := cmp.Diff([]string{"file b.bin"}, paths(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err = walk(t, mount, "a/b.bin", "", []string{"*.txt"}, nil)
	must(t, err)
	if len(got.Entries) != 0 {
		t.Errorf("%v is selected", paths(got))
	}
}

func TestAScanSelectsByGlobs(t *testing.T) {
	mount := t.TempDir()
	for _, name := range []string{"a/x.jpg", "a/x.txt", "b/y.txt", "tmp/z.jpg", "c/tmp/z.jpg", "lost+found/x"} {
		writeFile(t, filepath.Join(mount, "d", name), name)
	}
	writeFile(t, filepath.Join(mount, "d/c/not\xffUTF-8"), "")
	must(t, os.Mkdir(filepath.Join(mount, "d/empty.jpg"), 0o700))
	must(t, os.Symlink("x", filepath.Join(mount, "d/l.jpg")))
	must(t, unix.Mkfifo(filepath.Join(mount, "d/fifo"), 0o600))
	got, err := walk(t, mount, "d", "", []string{"**/*.jpg"}, []string{"**/tmp/**", "lost+found/**"})
	must(t, err)
	want := []string{"directory a", "file a/x.jpg", "directory empty.jpg", "link l.jpg"}
	if diff := cmp.Diff(want, paths(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Special != 0 || got.Unsafe.Count != 0 {
		t.Errorf("%d special, unsafe %+v, though none of them is selected", got.Special, got.Unsafe)
	}
}

func TestAScanReadsTheAttributesOfUsers(t *testing.T) {
	mount := t.TempDir()
	writeFile(t, filepath.Join(mount, "f"), "x")
	must(t, os.Mkdir(filepath.Join(mount, "d"), 0o700))
	must(t, os.Symlink("f", filepath.Join(mount, "l")))
	for _, x := range [][3]string{{"f", "user.b", "2"}, {"f", "user.a", ""}, {"d", "user.\xfe", "\x00\xff"}} {
		if err := unix.Setxattr(filepath.Join(mount, x[0]), x[1], []byte(x[2]), 0); err != nil {
			testenv.Skipf(t, "the file system of temporary files has no attributes: %v", err)
		}
	}
	got, err := walk(t, mount, "", "", nil, nil)
	must(t, err)
	want := map[string][]manifest.XAttr{
		"f": {{Name: "user.a"}, {Name: "user.b", Value: []byte("2")}},
		"d": {{Name: "user.\xfe", Value: []byte{0, 255}}},
		"l": nil,
	}
	for _, e := range got.Entries {
		if diff := cmp.Diff(want[e.Path], e.XAttrs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Path, diff)
		}
	}
	if len(got.Entries) != len(want) {
		t.Errorf("found %v", paths(got))
	}
}

// A directory may tell a name twice while files are renamed in it, of one kind and of another.
func TestANameThatIsToldTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	file("d/below")
	file("f")
	s := newScanner("", new(Tree), plan.Filter{})
	for range 2 {
		top, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.directory(t.Context(), top, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "d")); err != nil {
			t.Fatal(err)
		}
		file("d")
	}
	s.finish()
	m := manifest.Manifest{Entries: s.scan.Entries}
	var err error
	if m.Digest, err = manifest.Digest(m.Entries); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil || len(m.Entries) != 2 {
		t.Errorf("%v: the entries are %+v", err, m.Entries)
	}
}

// onLook is a context that runs a function at each look of a scan: before the names of a directory are read, and
// before its end is known.
type onLook func()

func (onLook) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (onLook) Done() <-chan struct{}                   { return nil }
func (onLook) Value(any) any                           { return nil }

func (f onLook) Err() error {
	f()
	return nil
}

// atLook runs a function at one look, the first of which is 1: at the second one the names of the exported directory
// are known, and those of the first directory in it are not.
func atLook(n int, do func()) onLook {
	looks := 0
	return func() {
		looks++
		if looks == n {
			do()
		}
	}
}

// What is renamed while a volume is scanned was there all along, whether it leaves a directory that is read later,
// or takes another name in one whose names are known.
func TestRenamesDuringAScan(t *testing.T) {
	t.Parallel()
	const beforeFirst, beforeSecond = 2, 4 // Of the directories in the exported one, whichever is read first.
	for name, tt := range map[string]struct {
		look   int
		rename [][2]string
		want   []string
	}{
		"in a directory whose names are known": {
			beforeFirst,
			[][2]string{{"x.tmp", "x"}, {"y.tmp", "y"}},
			[]string{"directory a", "file a/f", "directory b", "file b/g", "file x", "file y"},
		},
		"from a directory that was not read to one that was": {
			beforeSecond,
			[][2]string{{"a/f", "b/f"}, {"b/g", "a/g"}},
			[]string{"directory a", "file a/g", "directory b", "file b/f", "file x.tmp", "file y.tmp"},
		},
		"of directories before one was read": {
			beforeFirst,
			[][2]string{{"a", "c"}, {"b", "d"}},
			[]string{"directory c", "file c/f", "directory d", "file d/g", "file x.tmp", "file y.tmp"},
		},
		"of a directory into another": {
			beforeFirst,
			[][2]string{{"b", "a/b"}},
			[]string{"directory a", "directory a/b", "file a/b/g", "file a/f", "file x.tmp", "file y.tmp"},
		},
		"of directories, each to the other's name": {
			beforeSecond,
			[][2]string{{"a", "c"}, {"b", "a"}, {"c", "b"}},
			[]string{"directory a", "file a/g", "directory b", "file b/f", "file x.tmp", "file y.tmp"},
		},
	} {
		mount := t.TempDir()
		for _, file := range []string{"a/f", "b/g", "x.tmp", "y.tmp"} {
			writeFile(t, filepath.Join(mount, file), file)
		}
		tree, err := OpenTree(mount, "")
		must(t, err)
		got, err := tree.Scan(atLook(tt.look, func() {
			for _, r := range tt.rename {
				must(t, os.Rename(filepath.Join(mount, r[0]), filepath.Join(mount, r[1])))
			}
		}), "", plan.Filter{})
		tree.Close()
		must(t, err)
		if diff := cmp.Diff(tt.want, paths(got)); diff != "" || got.Unsettled != 0 {
			t.Errorf("%s: %d unsettled (-want +got):\n%s", name, got.Unsettled, diff)
		}
	}
}

// What is left out counts once, however often its directory is read.
func TestWhatIsLeftOutOfADirectoryThatIsReadAgain(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	writeFile(t, filepath.Join(mount, "a/no\x01XML"), "")
	must(t, unix.Mkfifo(filepath.Join(mount, "a/fifo"), 0o600))
	tree, err := OpenTree(mount, "")
	must(t, err)
	defer tree.Close()
	got, err := tree.Scan(atLook(2, func() { writeFile(t, filepath.Join(mount, "a/late"), "") }), "", plan.Filter{})
	must(t, err)
	if got.Special != 1 || got.Unsafe.Count != 1 || len(got.Unsafe.First) != 1 || got.Unsettled != 0 {
		t.Errorf("%d special, unsafe %+v, %d unsettled", got.Special, got.Unsafe, got.Unsettled)
	}
}

// A volume that never stands still is scanned all the same, and that is said. What was found of it is kept, because
// it is missed when it is to be sent.
func TestAScanThatNeverSettles(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	in := func(n int) string { return filepath.Join(mount, strconv.Itoa(n)) }
	writeFile(t, in(0), "it is renamed all the time")
	writeFile(t, filepath.Join(mount, "still/f"), "")
	tree, err := OpenTree(mount, "")
	must(t, err)
	defer tree.Close()
	n := 0
	got, err := tree.Scan(onLook(func() {
		must(t, os.Rename(in(n), in(n+1)))
		n++
	}), "", plan.Filter{})
	must(t, err)
	if found := paths(got); got.Unsettled != 1 || len(found) < 3 || !slices.Contains(found, "file still/f") {
		t.Errorf("%d unsettled, found %v", got.Unsettled, found)
	}
}
