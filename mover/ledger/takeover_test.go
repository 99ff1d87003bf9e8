// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

func scratch(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func headerOf(claim string) plan.Header {
	return plan.Header{Claim: claim, Pod: "pod-of-" + claim, Request: "request"}
}

func tellsOfAnother(err error) bool {
	f, ok := errors.AsType[*fault.Failure](err)
	return ok && f.Reason == wire.Fenced && f.Shared
}

// TestAJournalThatCannotBeWritten: where it is another claim that keeps it from being written, that is told.
func TestAJournalThatCannotBeWritten(t *testing.T) {
	for name, tt := range map[string]struct {
		journal string // Whose is there.
		err     error
		another bool
	}{
		"a full volume":                         {"", unix.ENOSPC, false},
		"a full volume, of this claim":          {"claim", unix.ENOSPC, false},
		"a full volume, of another claim":       {"another", unix.ENOSPC, true},
		"what was written is not there":         {"", &fs.PathError{Op: "rename", Err: unix.ENOENT}, true},
		"what is to be written is there":        {"", &fs.PathError{Op: "open", Err: unix.EEXIST}, true},
		"a device that fails, of another claim": {"another", unix.EIO, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := scratch(t)
			if tt.journal != "" {
				j, err := TakeOver(root, headerOf(tt.journal))
				if err != nil {
					t.Fatal(err)
				}
				j.Close()
			}
			if err := notTaken(root, headerOf("claim"), tt.err); tellsOfAnother(err) != tt.another || !errors.Is(err, tt.err) {
				t.Errorf("the error is %v, want another claim to be told of: %v", err, tt.another)
			}
		})
	}
}

// TestTwoClaimsThatTakeAVolumeOverAtOnce use the same names. Whoever fails for that tells of the other.
func TestTwoClaimsThatTakeAVolumeOverAtOnce(t *testing.T) {
	root := scratch(t)
	var both sync.WaitGroup
	for _, claim := range []string{"one", "other"} {
		both.Go(func() {
			for range 100 {
				j, err := TakeOver(root, headerOf(claim))
				if err == nil {
					err = j.Owned()
					j.Close()
				}
				if err != nil && !tellsOfAnother(err) {
					t.Errorf("%s: the error is %v, which tells of no other claim", claim, err)
					return
				}
			}
		})
	}
	both.Wait()
}

// TestAJournalThatWasRemoved by its own mover says nothing. One of another claim in its place does.
func TestAJournalThatWasRemoved(t *testing.T) {
	root := scratch(t)
	j, err := TakeOver(root, headerOf("claim"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Remove(), j.Owned()); err != nil {
		t.Error(err)
	}
	if _, err := root.Lstat(wire.JournalDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of the journal is still there (%v)", err)
	}
	next, err := TakeOver(root, headerOf("another"))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := j.Owned(); !tellsOfAnother(err) {
		t.Errorf("the error is %v, want another claim to be told of", err)
	}
}

// TestTheMarkOfARefusal is whatever has its name: nothing of that kind holds a mover up, and it can be taken away.
func TestTheMarkOfARefusal(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"nothing":     func(string) error { return nil },
		"a file":      func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a FIFO":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a link":      func(path string) error { return os.Symlink("elsewhere", path) },
		"a directory": func(path string) error { return os.MkdirAll(filepath.Join(path, "with", "more"), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			root := scratch(t)
			j, err := TakeOver(root, headerOf("claim"))
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			mark := filepath.Join(root.Name(), journalDoubt)
			if err := create(mark); err != nil {
				t.Fatal(err)
			}
			if found := j.Distrusted(); found != (name != "nothing") {
				t.Errorf("a mark is found: %v", found)
			}
			set := make(chan struct{})
			go func() { defer close(set); _ = j.Distrust() }()
			select {
			case <-set:
			case <-time.After(30 * time.Second):
				t.Fatal("the mover waits for who reads the mark")
			}
			if _, err := os.Lstat(filepath.Join(filepath.Dir(mark), "elsewhere")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what the mark links to is there (%v)", err)
			}
			if !j.Distrusted() {
				t.Error("the mark is not found")
			}
			if err := j.Trust(); err != nil || j.Distrusted() {
				t.Errorf("the mark stays: %v", err)
			}
		})
	}
}

// TestAMarkThatCannotBeLookedFor counts: what it speaks of may be in memory alone.
func TestAMarkThatCannotBeLookedFor(t *testing.T) {
	root := scratch(t)
	j, err := TakeOver(root, headerOf("claim"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if j.Distrusted() {
		t.Error("a new volume has the mark")
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if !j.Distrusted() {
		t.Error("nobody can look for the mark, and it is taken for not there")
	}
}
