// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// planOf has these entries.
func planOf(list ...plan.Entry) *plan.Plan {
	return &plan.Plan{Entries: plan.EntriesOf("", slices.Values(list))}
}

// refusing is a volume whose device refuses data, after a while in which anything may happen.
type refusing struct {
	dir       string
	meanwhile func()
}

func (v refusing) Sync() error {
	v.meanwhile()
	return unix.EIO
}

func (refusing) SyncFile(string) error { return nil }

func (v refusing) Stat(name string) (s unix.Stat_t, err error) {
	err = unix.Stat(filepath.Join(v.dir, name), &s)
	return s, err
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
			dir, root, j := ownVolume(t)
			file := filepath.Join(dir, "a")
			if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			l := New(planOf(plan.Entry{Key: "a", Path: "a", Size: 5}))
			l.Verified(0, 1, plan.Identity{}, false)
			k := &Checkpointer{Volume: refusing{dir, func() { tt.meanwhile(t, root) }}, Ledger: l, Journal: j}
			err := k.Checkpoint()
			if !errors.Is(err, unix.EIO) || fault.ReasonOf(err) != tt.wantReason {
				t.Errorf("it ends with %v, want EIO and the reason %q", err, tt.wantReason)
			}
			if _, err := os.Stat(file); (err == nil) != tt.wantFile {
				t.Errorf("the file: %v, want it to be there: %v", err, tt.wantFile)
			}
		})
	}
}

// ownVolume is an empty directory with the journal of this mover.
func ownVolume(t *testing.T) (dir string, root *os.Root, j *Journal) {
	t.Helper()
	dir = t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	j, err = TakeOver(root, plan.Header{Claim: "claim", Pod: "this", Request: "request"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return dir, root, j
}

// keeping is a volume whose sync ends well and leaves the content of files where it was.
type keeping struct {
	refusing

	synced  []string
	refuses string
}

func (*keeping) Sync() error { return nil }

func (v *keeping) SyncFile(name string) error {
	if name == v.refuses {
		return unix.EIO
	}
	v.synced = append(v.synced, name)
	return nil
}

// TestFilesAreSyncedOneByOne where the volume says that it has to be: what is verified, and what
// has arrived of large ones. A file that the device refuses is not noted, nor does it stay.
func TestFilesAreSyncedOneByOne(t *testing.T) {
	for name, tt := range map[string]struct {
		refuses string
		noted   int
	}{"the device takes them": {"", 2}, "the device refuses one": {"a", 0}} {
		t.Run(name, func(t *testing.T) {
			dir, _, j := ownVolume(t)
			v := &keeping{refusing: refusing{dir: dir}, refuses: tt.refuses}
			l := New(planOf(
				plan.Entry{Key: "a", Path: "a", Size: 5},
				plan.Entry{Key: "dir/", Path: "dir/"},
				plan.Entry{Key: "large", Path: "large", Size: 3 * PartialStep},
			))
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			stat, err := v.Stat("a")
			if err != nil {
				t.Fatal(err)
			}
			l.Verified(0, 1, plan.IdentityOf(&stat), false)
			l.Verified(1, 5, plan.Identity{}, false)
			l.Partial.Reached(2, PartialStep)
			err = (&Checkpointer{Volume: v, Ledger: l, Journal: j, Progressed: func() {}}).Checkpoint()
			if (err == nil) != (tt.refuses == "") {
				t.Errorf("it ends with %v", err)
			}
			noted := 0
			if err := j.Replay(func(Line) { noted++ }); err != nil || noted != tt.noted {
				t.Errorf("%d lines are noted (%v), want %d", noted, err, tt.noted)
			}
			if want := []string{"a", "large"}; tt.refuses == "" && !slices.Equal(v.synced, want) {
				t.Errorf("%q are synced, want %q", v.synced, want)
			}
			if _, err := os.Stat(filepath.Join(dir, "a")); (err == nil) != (tt.refuses == "") {
				t.Errorf("the verified file: %v", err)
			}
		})
	}
}

// hanging is a volume whose sync does not end before it is told to.
type hanging struct {
	refusing

	begun, end chan struct{}
}

func (v hanging) Sync() error {
	close(v.begun)
	<-v.end
	return nil
}

// TestAMoverWhoseSyncHangsIsFenced: it goes on to write files meanwhile, to a volume that another mover
// may have completed.
func TestAMoverWhoseSyncHangsIsFenced(t *testing.T) {
	dir, root, j := ownVolume(t)
	l := New(planOf(plan.Entry{Key: "a", Path: "a", Size: 5}))
	l.Verified(0, 1, plan.Identity{}, false)
	v := hanging{refusing{dir: dir}, make(chan struct{}), make(chan struct{})}
	k := &Checkpointer{Volume: v, Ledger: l, Journal: j, Every: time.Millisecond, Progressed: func() {}}
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	ended := make(chan error)
	go func() { ended <- k.Run(ctx, stop) }()
	<-v.begun
	next, err := TakeOver(root, plan.Header{Claim: "claim", Pod: "next", Request: "request"})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	select {
	case <-ctx.Done():
		if err := context.Cause(ctx); fault.ReasonOf(err) != wire.Fenced {
			t.Errorf("it was stopped by %v, want %s", err, wire.Fenced)
		}
	case <-time.After(time.Minute):
		t.Error("it was not stopped")
	}
	close(v.end)
	<-ended
}

func TestPauseAfterACheckpoint(t *testing.T) {
	for _, tt := range []struct{ every, took, want time.Duration }{
		{2 * time.Second, 0, 2 * time.Second},
		{2 * time.Second, 500 * time.Millisecond, 2 * time.Second},
		{2 * time.Second, time.Second, 4 * time.Second},
		{2 * time.Second, 7 * time.Second, 28 * time.Second},
		{2 * time.Second, 8 * time.Second, 30 * time.Second},
		{2 * time.Second, time.Hour, 30 * time.Second},
		{time.Minute, 0, time.Minute},
		{time.Minute, time.Hour, time.Minute},
	} {
		if got := pause(tt.every, tt.took); got != tt.want {
			t.Errorf("every %s, and %s after one that took %s, want %s", tt.every, got, tt.took, tt.want)
		}
	}
}

// slow is a volume of which each sync takes its time, while more of a large file arrives.
type slow struct {
	refusing

	takes  []time.Duration
	begun  []time.Time
	arrive func(syncs int)
}

func (v *slow) Sync() error {
	v.begun = append(v.begun, time.Now())
	v.arrive(len(v.begun))
	time.Sleep(v.takes[len(v.begun)-1]) //nolint:forbidigo // The clock is the test's own.
	return nil
}

// TestCheckpointsOfASlowVolume: a device that takes a minute once is asked again soon.
func TestCheckpointsOfASlowVolume(t *testing.T) {
	dir, _, j := ownVolume(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		l := New(planOf(plan.Entry{Key: "large", Path: "large", Size: 100 * PartialStep}))
		v := &slow{refusing: refusing{dir: dir}, takes: []time.Duration{0, time.Second, time.Minute, 0, 0}}
		v.arrive = func(syncs int) {
			l.Partial.Reached(0, int64(syncs+1)*PartialStep)
			if syncs == len(v.takes) {
				stop(nil)
			}
		}
		l.Partial.Reached(0, PartialStep)
		began := time.Now()
		k := &Checkpointer{Volume: v, Ledger: l, Journal: j, Every: 2 * time.Second, Progressed: func() {}}
		if err := k.Run(ctx, stop); err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for _, at := range v.begun {
			got = append(got, at.Sub(began))
		}
		// After one that took 1 s it waits for 4 s, and after one that took 60 s for 30 s.
		want := []time.Duration{2 * time.Second, 4 * time.Second, 9 * time.Second, 99 * time.Second, 101 * time.Second}
		if !slices.Equal(got, want) {
			t.Errorf("it syncs after %s, want %s", got, want)
		}
	})
}
