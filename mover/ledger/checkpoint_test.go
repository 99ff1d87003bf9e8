// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// refusing is a volume whose device refuses data, after a while in which anything may happen.
type refusing struct {
	dir       string
	meanwhile func()
}

func (v refusing) Sync() error {
	v.meanwhile()
	return unix.EIO
}

func (v refusing) Stat(name string) (s unix.Stat_t, err error) {
	return s, unix.Stat(filepath.Join(v.dir, name), &s)
}

func (v refusing) Remove(name string) error { return os.Remove(filepath.Join(v.dir, name)) }

// TestASyncThatHangs: when it ends with an error at last, another mover may have the volume. What
// is under the paths then is not what this one has written.
func TestASyncThatHangs(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile  func(t *testing.T, root *os.Root)
		wantReason wire.Reason
		wantFile   bool
	}{
		"nothing happens": {meanwhile: func(*testing.T, *os.Root) {}},
		"another mover takes the volume over": {func(t *testing.T, root *os.Root) {
			j, err := TakeOver(root, plan.Header{Claim: "claim", Pod: "next", Request: "request"})
			if err != nil {
				t.Fatal(err)
			}
			j.Close()
		}, wire.Fenced, true},
		"another mover completes the volume": {func(t *testing.T, root *os.Root) {
			if err := root.RemoveAll(wire.JournalDir); err != nil {
				t.Fatal(err)
			}
		}, wire.Fenced, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = root.Close() })
			j, err := TakeOver(root, plan.Header{Claim: "claim", Pod: "this", Request: "request"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(j.Close)
			file := filepath.Join(dir, "a")
			if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			l := New(&plan.Plan{Entries: []plan.Entry{{Key: "a", Path: "a", Size: 5}}})
			l.Verified(0, 1, plan.Identity{}, false)
			k := &Checkpointer{Volume: refusing{dir, func() { tt.meanwhile(t, root) }}, Ledger: l, Journal: j}
			err = k.Checkpoint()
			if !errors.Is(err, unix.EIO) || fault.ReasonOf(err) != tt.wantReason {
				t.Errorf("it ends with %v, want EIO and the reason %q", err, tt.wantReason)
			}
			if _, err := os.Stat(file); (err == nil) != tt.wantFile {
				t.Errorf("the file: %v, want it to be there: %v", err, tt.wantFile)
			}
		})
	}
}
