// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestEmpty: nothing stays but what is the storage's, and the journal. Not even the target directory does, which may
// have been a directory of an export.
func TestEmpty(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	put := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := errors.Join(os.MkdirAll(filepath.Dir(in(name)), 0o755), os.WriteFile(in(name), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("lost+found/x", ".snapshot/x", wire.JournalDir+"/journal", "a", "t/u/b", "t/lost+found/x", "no\xffname/\xfe")
	for i := range 2100 {
		put("many/" + strconv.Itoa(i))
	}
	if err := errors.Join(os.Symlink(in("a"), in("link")), os.Chmod(in("t/u"), 0o700)); err != nil {
		t.Fatal(err)
	}
	v, err := Open(dir, "t/u")
	if err == nil {
		err = v.MakeTarget()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	lost := errors.New("another mover has the volume")
	for name, owned := range map[string]error{"as one that is not ours": lost, "as one that is lost": nil} {
		ctx, stop := context.WithCancelCause(t.Context())
		if owned == nil {
			stop(lost)
		}
		if err := v.Empty(ctx, func() error { return owned }); !errors.Is(err, lost) {
			t.Errorf("%s: it ends with %v, want %v", name, err, lost)
		}
		stop(nil)
	}
	for _, name := range []string{"a", "t/u/b", "many/0"} {
		if _, err := os.Stat(in(name)); err != nil {
			t.Errorf("what is not ours is gone: %v", err)
		}
	}
	if err := v.Empty(t.Context(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(in("*"))
	if hidden, _ := filepath.Glob(in(".s*/*")); err != nil || len(left) != 4 || len(hidden) != 2 {
		t.Errorf("%q and %q are left (%v), want lost+found, .snapshot, the journal and the target", left, hidden, err)
	}
	if info, err := os.Stat(in("t/u")); err != nil || info.Mode().Perm() == 0o700 {
		t.Errorf("the target directory is the one of before: %v (%v)", info.Mode(), err)
	}
	if err := v.Data.Mkdir("new", 0o755); err != nil {
		t.Errorf("the target directory cannot be written to: %v", err)
	}
	if _, err := os.Stat(in("t/u/new")); err != nil {
		t.Errorf("the target directory is another one: %v", err)
	}
}

// TestToEmptyEndsOnceTheVolumeIsLost, which is looked at before each removal.
func TestToEmptyEndsOnceTheVolumeIsLost(t *testing.T) {
	lost := errors.New("another mover has the volume")
	const dirs, files = 3, 2
	for looks := range dirs*(files+1) + 1 {
		dir := t.TempDir()
		for i := range dirs {
			in := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(in, 0o755); err != nil {
				t.Fatal(err)
			}
			for j := range files {
				if err := os.WriteFile(filepath.Join(in, strconv.Itoa(j)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		v, err := Open(dir, "")
		if err == nil {
			err = v.MakeTarget()
		}
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		err = v.Empty(t.Context(), func() error {
			if asked == looks {
				return lost
			}
			asked++
			return nil
		})
		v.Close()
		left, globErr := filepath.Glob(filepath.Join(dir, "*/*"))
		want := dirs*files - (looks - looks/(files+1)) // After its files, a directory goes.
		if ended := looks < dirs*(files+1); errors.Is(err, lost) != ended || globErr != nil || len(left) != want {
			t.Errorf("after %d looks it ends with %v, and %q are left, want %d", looks, err, left, want)
		}
	}
}

// TestASweepEndsOnceTheVolumeIsLost: by then, what it was to remove next may have the name of a file of another mover.
func TestASweepEndsOnceTheVolumeIsLost(t *testing.T) {
	lost := errors.New("another mover has the volume")
	const files = 3
	for looks := range files + 1 {
		dir := t.TempDir()
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		v, err := Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		s := Sweep{Volume: v, Plan: &plan.Plan{}, Owned: func() error {
			if asked == looks {
				return lost
			}
			asked++
			return nil
		}}
		err = s.Run(t.Context())
		v.Close()
		left, globErr := filepath.Glob(filepath.Join(dir, "*"))
		if errors.Is(err, lost) != (looks < files) || globErr != nil || len(left) != files-looks {
			t.Errorf("after %d looks it ends with %v, and %q are left", looks, err, left)
		}
	}
}

// TestToEmptyWhatChangesMeanwhile: names go by themselves, and others come for files that are open elsewhere.
func TestToEmptyWhatChangesMeanwhile(t *testing.T) {
	for name, tt := range map[string]struct {
		names []string
		owned func(dir string, asked int) error // It is asked before each removal.
		left  int
	}{
		"everything is gone by then": {
			[]string{"a", "b", "c/a", "d/a", "e/a"}, func(dir string, asked int) error {
				if asked > 1 {
					return nil
				}
				all, err := filepath.Glob(filepath.Join(dir, "*"))
				for _, one := range all {
					err = errors.Join(err, os.RemoveAll(one))
				}
				return err
			}, 0,
		},
		"FUSE gives what is open another name": {
			[]string{".fuse_hidden0", "a"}, func(dir string, asked int) error {
				if asked > 100 {
					return errors.New("it does not end")
				}
				return os.WriteFile(filepath.Join(dir, ".fuse_hidden"+strconv.Itoa(asked)), nil, 0o600)
			}, 2, // As many as were there when it was looked for the last time.
		},
		"files of such names": {
			[]string{".nfs0", ".fuse_hidden0", "a/.nfs0", "a/.fuse_hidden0"}, func(string, int) error { return nil }, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range tt.names {
				in := filepath.Join(dir, f)
				if err := errors.Join(os.MkdirAll(filepath.Dir(in), 0o755), os.WriteFile(in, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			v, err := Open(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			asked := 0
			err = v.Empty(t.Context(), func() error { asked++; return tt.owned(dir, asked) })
			if left, globErr := os.ReadDir(dir); err != nil || globErr != nil || len(left) != tt.left {
				t.Errorf("it ends with %v, and %v are left, want %d", err, left, tt.left)
			}
		})
	}
}
