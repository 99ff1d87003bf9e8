// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestKeepsReaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode                 uint32
		sameOwner, sameGroup bool
		want                 bool
	}{
		{0o600, true, true, true},
		{0o644, false, false, true}, // All may read it.
		{0o640, false, true, true},  // The group may, and its owner was a member.
		{0o664, false, true, true},
		{0o600, false, true, false},
		{0o700, false, true, false},
		{0o640, false, false, false},
		{0o600, false, false, false},
		{0o640, true, false, false}, // Its group was another one.
		{0o600, true, false, true},  // No group could read it.
		{0o000, true, false, true},
	} {
		if got := keepsReaders(tt.mode, tt.sameOwner, tt.sameGroup); got != tt.want {
			t.Errorf("mode %04o, same owner %v, same group %v: %v", tt.mode, tt.sameOwner, tt.sameGroup, got)
		}
	}
}

func TestIsTemporary(t *testing.T) {
	t.Parallel()
	u := &InUse{temporary: temporaryStart + "run-1-"}
	for name, want := range map[string][2]bool{ // Of any run, of this one.
		".s3populator-run-1-0123abcd-7":                                {true, true},
		".s3populator-run-10-0123abcd-7":                               {true, false},
		".s3populator-0f8fad5b-d9cb-469f-a165-70867728950e-0123abcd-7": {true, false},
		".s3populator-run-1-notes":                                     {false, false},
		".s3populator-run-1-notes123-7":                                {false, false},
		".s3populator-run-1-0123abcd-7.bak":                            {false, false},
		".s3populator":                                                 {false, false},
		".s3populator-notes":                                           {false, false},
		".s3populator-my-old-notes":                                    {false, false},
		"x.s3populator-r-0123abcd-7":                                   {false, false},
		".s3populator-run-1x-notes-9":                                  {false, false},
	} {
		if got := [2]bool{isTemporary(name), u.isOfThisRun(name)}; got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
}

// Two processes of one run, as after a node that was cut off, never take each other's files for theirs.
func TestTwoProcessesOfOneRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *InUse {
		u, err := OpenInUse(dir, "run-1", wire.Files{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(u.Close)
		return u
	}
	a, b := open(), open()
	stage := func(u *InUse, text string) *Staged {
		s, err := u.Stage("f")
		if err == nil {
			_, err = s.File.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := stage(a, "the first")
	if err := b.RemoveTemporaries(t.Context(), ".", true, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	second := stage(b, "half of the sec")
	if _, err := first.publish(t); !errors.Is(err, fault.ErrDiffers) {
		t.Errorf("a file whose name is gone was put into place: %v", err)
	}
	first.Discard()
	if _, err := os.Stat(filepath.Join(dir, "f")); err == nil {
		t.Error("half a file is in place")
	}
	if _, err := second.File.WriteString("ond"); err != nil {
		t.Fatal(err)
	}
	if _, err := second.publish(t); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "f")); string(text) != "half of the second" {
		t.Errorf("the file is %q (%v)", text, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

// Whatever takes the place of a temporary file is not put into place.
func TestWhatTakesThePlaceOfATemporaryFile(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(temporary string) error{
		"another file": func(temporary string) error {
			if err := os.WriteFile(temporary+"x", []byte("right"), 0o600); err != nil {
				return err
			}
			return os.Rename(temporary+"x", temporary)
		},
		"a link": func(temporary string) error {
			return errors.Join(os.Remove(temporary), os.Symlink("/etc/passwd", temporary))
		},
		"nothing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			u, err := OpenInUse(dir, "run-1", wire.Files{})
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			s, err := u.Stage("d/f")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.File.WriteString("right"); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(s.temp, ".s3populator-run-1-") {
				t.Errorf("the temporary file is %q", s.temp)
			}
			if err := replace(filepath.Join(dir, "d", s.temp)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.publish(t); !errors.Is(err, fault.ErrDiffers) {
				t.Errorf("it was published: %v", err)
			}
			s.Discard()
			if left, _ := os.ReadDir(filepath.Join(dir, "d")); len(left) != 0 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

// Whoever moves a directory aside keeps what is in it.
func TestADirectoryThatIsMovedKeepsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u, err := OpenInUse(dir, "run-1", wire.Files{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	old, current := filepath.Join(dir, "old"), filepath.Join(dir, "current")
	err = errors.Join(os.Mkdir(current, 0o755), os.WriteFile(filepath.Join(current, "f"), []byte("old"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	s, err := u.Stage("current/f")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(current, old), os.Mkdir(current, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.publish(t); !errors.Is(err, fault.ErrDiffers) {
		t.Errorf("it was published: %v", err)
	}
	s.Discard()
	if text, err := os.ReadFile(filepath.Join(old, "f")); err != nil || string(text) != "old" {
		t.Errorf("the file that was kept holds %q (%v)", text, err)
	}
	if left, _ := os.ReadDir(old); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

// watchSyncs records what is synced by itself, and refuses it while the device is broken.
func watchSyncs(t *testing.T) (synced func() []string, broken *bool) {
	t.Helper()
	was := fsync
	t.Cleanup(func() { fsync = was })
	var names []string
	broken = new(bool)
	fsync = func(f *os.File) error {
		if *broken {
			return unix.EIO
		}
		names = append(names, f.Name())
		return was(f)
	}
	return func() []string {
		list := names
		names = nil
		slices.Sort(list)
		return list
	}, broken
}

// Where a sync of all does not reach names, the directories that hold them are synced, and nothing else.
func TestDirectoriesThatAreSynced(t *testing.T) {
	synced, broken := watchSyncs(t)
	u, err := OpenInUse(t.TempDir(), "run-1", wire.Files{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	u.EachFile = true
	s, err := u.Stage("a/b/f")
	if err == nil {
		_, err = s.publish(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(u.touched)); !slices.Equal(got, []string{".", "a", "a/b"}) {
		t.Errorf("to be synced are %q", got)
	}
	*broken = true
	if err := u.Sync(); !errors.Is(err, unix.EIO) || len(u.touched) != 3 {
		t.Errorf("after a sync that failed %v are to be synced (%v)", u.touched, err)
	}
	*broken = false
	synced()
	if err := u.Sync(); err != nil || len(u.touched) > 0 {
		t.Errorf("left are %v (%v)", u.touched, err)
	}
	if got := synced(); len(got) != 3 || u.Alone.Load() < 3 {
		t.Errorf("synced were %q", got)
	}
	u.Touch("a/b") // Of an attempt that made them and was killed.
	if got := slices.Sorted(maps.Keys(u.touched)); !slices.Equal(got, []string{".", "a", "a/b"}) {
		t.Errorf("to be synced are %q", got)
	}
}

// A population has no names to go by in the end: all that is on the volume is synced, and what is the storage's is not.
func TestNamesThatAreSynced(t *testing.T) {
	synced, broken := watchSyncs(t)
	dir := t.TempDir()
	for _, name := range []string{"a/b", "empty", "lost+found/x", wire.JournalDir} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "a/b/f"), nil, 0o600), os.Symlink("f", filepath.Join(dir, "a/b/link")))
	v, openErr := Open(dir, "")
	if err := errors.Join(err, openErr); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := errors.Join(v.SyncNames(t.Context()), v.SyncRoot()); err != nil || len(synced()) > 0 {
		t.Errorf("where a sync of all reaches names, they are synced one by one (%v)", err)
	}
	v.EachFile = true
	err = v.SyncNames(t.Context())
	if got := synced(); err != nil || len(got) != 4 || v.Alone.Load() != 4 {
		t.Errorf("synced were %q (%v), want the root, a, a/b and empty", got, err)
	}
	if err := v.SyncRoot(); err != nil || len(synced()) != 1 {
		t.Errorf("the root was not synced (%v)", err)
	}
	*broken = true
	if err := v.SyncNames(t.Context()); !errors.Is(err, unix.EIO) {
		t.Errorf("a device that refuses names is not told of: %v", err)
	}
	if err := v.SyncRoot(); !errors.Is(err, unix.EIO) {
		t.Errorf("a device that refuses the root is not told of: %v", err)
	}
}

// What is known of a file is synced after it was changed, also where that keeps the mover from opening it.
func TestOwnersAndModesAreSynced(t *testing.T) {
	synced, _ := watchSyncs(t)
	dir := t.TempDir()
	p, err := makePlan(t, wire.Request{Operation: wire.Populate}, object{key: "d/f", size: 0})
	if err != nil {
		t.Fatal(err)
	}
	v, err := Open(dir, "")
	if err == nil {
		err = errors.Join(v.MakeTarget(), os.Mkdir(filepath.Join(dir, "d"), 0o755),
			os.WriteFile(filepath.Join(dir, "d/f"), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	v.EachFile = true
	err = v.SetOwners(t.Context(), p, wire.Files{Mode: new(uint32(0)), DirMode: new(uint32(0o700))})
	if got := synced(); err != nil || len(got) != 2 {
		t.Errorf("synced were %q (%v), want the file and its directory", got, err)
	}
}

// publish is Publish of the file as it is.
func (s *Staged) publish(t *testing.T) (plan.Identity, error) {
	t.Helper()
	proven, err := s.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return s.Publish(proven)
}

// What was written after the file was compared with its object is not published.
func TestWhatIsWrittenAfterItWasProven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u, err := OpenInUse(dir, "run-1", wire.Files{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	s, err := u.Stage("f")
	if err == nil {
		_, err = s.File.WriteString("right")
	}
	if err != nil {
		t.Fatal(err)
	}
	proven, err := s.Identity()
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour) // A tick of the clock may be long.
	if err := errors.Join(os.WriteFile(filepath.Join(dir, s.temp), []byte("wrong"), 0o600),
		os.Chtimes(filepath.Join(dir, s.temp), past, past)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(proven); !errors.Is(err, fault.ErrDiffers) {
		t.Errorf("it was published: %v", err)
	}
	s.Discard()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}
