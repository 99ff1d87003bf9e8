// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestTheMarkOfARestore is whatever has its name. What is not in our words is that of another restore, and holds nobody
// up.
func TestTheMarkOfARestore(t *testing.T) {
	const which = "this restore"
	for name, tt := range map[string]struct {
		create func(path string) error
		begun  bool
		which  string
	}{
		"nothing":           {func(string) error { return nil }, false, ""},
		"our words":         {func(path string) error { return os.WriteFile(path, []byte(which), 0o600) }, true, which},
		"half of our words": {func(path string) error { return os.WriteFile(path, []byte("this"), 0o600) }, true, "this"},
		"an empty file":     {func(path string) error { return os.WriteFile(path, nil, 0o600) }, true, ""},
		"too many words": {
			func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", 1<<20)), 0o600) },
			true, strings.Repeat("x", maxRestore),
		},
		"a FIFO":      {func(path string) error { return unix.Mkfifo(path, 0o600) }, true, ""},
		"a link":      {func(path string) error { return os.Symlink(JournalName, path) }, true, ""},
		"a directory": {func(path string) error { return os.MkdirAll(filepath.Join(path, "with", "more"), 0o700) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := scratch(t)
			j, err := TakeOver(root, headerOf("claim"))
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if err := tt.create(filepath.Join(root.Name(), journalRestoring)); err != nil {
				t.Fatal(err)
			}
			if got, begun := j.Restoring(); got != tt.which || begun != tt.begun {
				t.Errorf("the restore is %q (%v), want %q (%v)", got, begun, tt.which, tt.begun)
			}
			if err := j.Unrestored(); err != nil {
				t.Fatal(err)
			}
			if got, begun := j.Restoring(); begun {
				t.Errorf("the mark of %q stays", got)
			}
			for range 2 { // The next mover of the same restore sets it again.
				if err := j.Restores(which); err != nil {
					t.Fatal(err)
				}
				if got, begun := j.Restoring(); got != which || !begun {
					t.Errorf("the restore is %q (%v), want %q", got, begun, which)
				}
			}
		})
	}
}

// TestAJournalGoesBeforeTheMarks beside it: with the journal, and without the mark, a volume on which something was
// restored would be filled further.
func TestAJournalGoesBeforeTheMarks(t *testing.T) {
	root := scratch(t)
	j, err := TakeOver(root, headerOf("claim"))
	if err != nil {
		t.Fatal(err)
	}
	const others = 100 // A directory is not removed in a certain order.
	for i := range others {
		if err := os.WriteFile(filepath.Join(root.Name(), wire.JournalDir, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(watch) }()
	_, err = unix.InotifyAddWatch(watch, filepath.Join(root.Name(), wire.JournalDir), unix.IN_DELETE)
	if err := errors.Join(err, j.Restores("this restore"), j.Distrust(), j.Remove()); err != nil {
		t.Fatal(err)
	}
	var removed []string
	events := make([]byte, 64<<10)
	n, err := unix.Read(watch, events)
	for events = events[:max(n, 0)]; len(events) > unix.SizeofInotifyEvent; {
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		name, _, _ := strings.Cut(string(events[unix.SizeofInotifyEvent:size]), "\x00")
		removed, events = append(removed, name), events[size:]
	}
	if len(removed) != 3+others || wire.JournalDir+"/"+removed[0] != JournalName {
		t.Errorf("removed were %q (%v), want all files, and the journal first", removed, err)
	}
}

// TestAJournalThatForgets is as a new one, and goes on to be that of its mover.
func TestAJournalThatForgets(t *testing.T) {
	j, err := TakeOver(scratch(t), headerOf("claim"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	before, after := Line{Path: "before", Size: 1, By: 1, ETag: "e"}, Line{Path: "after", Size: 1, By: 1, ETag: "e"}
	if err := errors.Join(j.Add([]Line{before}), j.Forget(), j.Owned(), j.Add([]Line{after})); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = j.Replay(func(l Line) { got = append(got, l.Path) })
	if err != nil || len(got) != 1 || got[0] != "after" {
		t.Errorf("the journal holds %q (%v)", got, err)
	}
}

// syncsOf records, at each sync in the directory of a journal, which files are there.
func syncsOf(t *testing.T, root *os.Root) (told func() []string) {
	t.Helper()
	was := fsync
	t.Cleanup(func() { fsync = was })
	var all []string
	fsync = func(f *os.File) error {
		there := filepath.Base(f.Name()) + ":"
		for _, name := range []string{JournalName, restoringNext, journalRestoring} {
			if text, err := os.ReadFile(filepath.Join(root.Name(), name)); err == nil && len(text) > 0 {
				there += " " + filepath.Base(name)
			}
		}
		all = append(all, there)
		return was(f)
	}
	return func() []string {
		list := all
		all = nil
		return list
	}
}

// TestMarksAreDurableInTheirOrder, whatever a power loss keeps: the mark of a restore is whole before it has its name,
// and the journal is gone before the mark is.
func TestMarksAreDurableInTheirOrder(t *testing.T) {
	root := scratch(t)
	j, err := TakeOver(root, headerOf("claim"))
	if err != nil {
		t.Fatal(err)
	}
	told := syncsOf(t, root)
	if err := j.Restores("this restore"); err != nil {
		t.Fatal(err)
	}
	want := []string{"restoring.next: journal restoring.next", wire.JournalDir + ": journal restoring"}
	if got := told(); !slices.Equal(got, want) {
		t.Errorf("as the mark is set, synced are %q, want %q", got, want)
	}
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	if got, want := told(), []string{wire.JournalDir + ": restoring"}; !slices.Equal(got, want) {
		t.Errorf("as the journal is removed, synced are %q, want %q", got, want)
	}
}

// TestAMarkThatCannotBeWritten leaves the one that is there, and nothing that is taken for one.
func TestAMarkThatCannotBeWritten(t *testing.T) {
	root := scratch(t)
	j, err := TakeOver(root, headerOf("claim"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	was := fsync
	defer func() { fsync = was }()
	for _, before := range []string{"", "the same restore"} {
		if before != "" {
			fsync = was
			if err := j.Restores(before); err != nil {
				t.Fatal(err)
			}
		}
		fsync = func(*os.File) error { return unix.ENOSPC }
		if err := j.Restores("the same restore"); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("it ends with %v", err)
		}
		if got, begun := j.Restoring(); got != before || begun != (before != "") {
			t.Errorf("the restore is %q (%v), want %q", got, begun, before)
		}
	}
}
