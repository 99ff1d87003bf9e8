// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// fenced is a mover of a run that has taken a volume over.
func fenced(t *testing.T, dir, run, claim string) *InUse {
	t.Helper()
	u, err := OpenInUse(dir, run, wire.Files{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	if err := errors.Join(u.TakeOver(claim), u.Owned()); err != nil {
		t.Fatal(err)
	}
	return u
}

func staged(t *testing.T, u *InUse, name, text string) *Staged {
	t.Helper()
	s, err := u.Stage(name)
	if err == nil {
		_, err = s.File.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func keepNone(string) bool { return false }

// A mover that another one has followed changes nothing any more that is not its own.
func TestASupersededImportChangesNothing(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(t *testing.T, old *InUse, s *Staged) error{
		"it replaces a file": func(t *testing.T, _ *InUse, s *Staged) error {
			_, err := s.publish(t)
			return err
		},
		"it replaces a file by one that is staged anew": func(t *testing.T, old *InUse, _ *Staged) error {
			s := staged(t, old, "t/f", "older")
			_, err := s.publish(t)
			s.Discard()
			return err
		},
		"it makes a directory": func(_ *testing.T, old *InUse, _ *Staged) error { return old.MakeDirectory("t/new") },
		"it removes temporary files of the next attempt": func(t *testing.T, old *InUse, _ *Staged) error {
			return old.RemoveTemporaries(t.Context(), ".", true, keepNone)
		},
		"it removes what is extra": func(t *testing.T, old *InUse, _ *Staged) error {
			filter, err := plan.NewFilter(wire.Source{})
			if err != nil {
				t.Fatal(err)
			}
			p, err := makePlan(t, wire.Request{Operation: wire.Import})
			if err != nil {
				t.Fatal(err)
			}
			return (&Extra{Volume: old, Dir: "t", Plan: p, Filter: filter, Verified: FileSet{}}).Run(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			oldest := fenced(t, dir, "run-0", "claim")
			old := fenced(t, dir, "run-1", "claim")
			s := staged(t, old, "t/f", "older")
			next := fenced(t, dir, "run-1", "claim")
			newer := staged(t, next, "t/f", "newer")
			if _, err := newer.publish(t); err != nil {
				t.Fatal(err)
			}
			half := staged(t, next, "t/g", "half")
			err := act(t, old, s)
			if fault.ReasonOf(err) != wire.Fenced {
				t.Errorf("the error is %v, want %s", err, wire.Fenced)
			}
			if got := textOf(t, filepath.Join(dir, "t/f")); got != "newer" {
				t.Errorf("the file is %q", got)
			}
			if _, err := half.publish(t); err != nil {
				t.Errorf("the next mover cannot go on: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "t/new")); err == nil {
				t.Error("a directory was made")
			}
			s.Discard()
			old.Close()
			if err := next.Owned(); err != nil {
				t.Errorf("who was superseded has ended the next one: %v", err)
			}
			next.Close()
			if err := oldest.Owned(); fault.ReasonOf(err) != wire.Fenced {
				t.Errorf("one may go on when the next one has ended: %v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "t" {
				t.Errorf("left are %v", left)
			}
		})
	}
}

// What a mover was about to rename is gone when the next one compares: a rename that was under way finds nothing. So
// for one of another run, where that is known to have been ended.
func TestATakeOverRemovesWhatIsStaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := fenced(t, dir, "run-1", "claim")
	s := staged(t, old, "t/f", "older")
	other := fenced(t, dir, "run-3", "another-claim")
	theirs := staged(t, other, "t/g", "of another claim")
	next := fenced(t, dir, "run-2", "claim")
	if err := next.RemoveTemporaries(t.Context(), "t", false, keepNone); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "t", s.temp)
	if err := os.Rename(temp, filepath.Join(dir, "t/f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file can still be renamed: %v", err)
	}
	s.Discard()
	if _, err := theirs.publish(t); err != nil {
		t.Errorf("a mover of another claim was ended, too: %v", err)
	}
	if got := textOf(t, filepath.Join(dir, "t/g")); got != "of another claim" {
		t.Errorf("the file is %q", got)
	}
}

// A mover that was killed leaves its fence, which keeps nobody from anything and goes with the next one.
func TestAFenceThatWasLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		killed, err := OpenInUse(dir, "run-1", wire.Files{})
		if err != nil {
			t.Fatal(err)
		}
		if err := killed.TakeOver("claim"); err != nil {
			t.Fatal(err)
		}
		_ = killed.Dir.Close()
	}
	names, err := os.ReadDir(filepath.Join(dir, wire.JournalDir))
	if err != nil || len(names) != 1 || !strings.HasPrefix(names[0].Name(), "import.claim.run-1-") {
		t.Errorf("left are %v (%v), want the last fence", names, err)
	}
	next := fenced(t, dir, "run-2", "claim")
	next.Close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// What is no fence stays, and who cannot make one says so and goes on.
func TestFencesThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make     func(at string) error
		unfenced bool
	}{
		"a file is in the way": {func(at string) error { return os.WriteFile(at, nil, 0o600) }, true},
		"a link is in the way": {func(at string) error { return os.Symlink("elsewhere", at) }, true},
		"other files are there": {func(at string) error {
			return errors.Join(os.Mkdir(at, 0o700), os.WriteFile(at+"/import.claim.notes", nil, 0o600))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := filepath.Join(dir, wire.JournalDir)
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "elsewhere"), 0o700), test.make(at)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(at)
			if err != nil {
				t.Fatal(err)
			}
			u := fenced(t, dir, "run-1", "claim")
			if (u.Unfenced != nil) != test.unfenced {
				t.Errorf("unfenced: %v", u.Unfenced)
			}
			if _, err := staged(t, u, "f", "right").publish(t); err != nil {
				t.Error(err)
			}
			u.Close()
			if after, err := os.Lstat(at); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there is gone or another (%v)", err)
			}
			if _, err := os.Stat(at + "/import.claim.notes"); !test.unfenced && err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "elsewhere")); len(left) != 0 {
				t.Errorf("a link was followed: %v", left)
			}
		})
	}
}

// However many begin and end at once, no two go on, and nothing is left in the end.
func TestTakingOverAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const movers, each = 8, 40
	var mu sync.Mutex
	var last []*InUse
	var all sync.WaitGroup
	for range movers {
		all.Go(func() {
			for n := range each {
				u, err := OpenInUse(dir, "run-1", wire.Files{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := u.TakeOver("claim"); err != nil && fault.ReasonOf(err) != wire.Fenced || u.Unfenced != nil {
					t.Errorf("%v, unfenced: %v", err, u.Unfenced)
				}
				if n < each-1 {
					u.Close()
					continue
				}
				mu.Lock()
				last = append(last, u)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	owners := slices.DeleteFunc(slices.Clone(last), func(u *InUse) bool { return u.fence == "" || u.Owned() != nil })
	if len(owners) > 1 {
		t.Errorf("%d movers go on", len(owners))
	}
	for _, u := range last {
		u.Close()
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}
