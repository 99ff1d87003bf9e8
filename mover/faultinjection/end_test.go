// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestKilledAgainAndAgain gives each mover half a second more than the one before it, or an eighth, until
// one gets through. Nothing but what is on the volume tells a mover of those before it, and whatever one was
// doing when it was killed, no byte is wrong in the end. TestEachLifeGoesOn counts what is fetched twice.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.data(t, 30)
		n := startNetwork(t, s.address)
		n.add("bandwidth", map[string]int{"rate": 20 << 10}) // Of each connection.
		a := newAttempt(t, engine, n.address)
		report := filepath.Join(t.TempDir(), "report")
		for life := 500 * time.Millisecond; life < time.Minute; life += max(500*time.Millisecond, life/8) {
			cmd := a.spawn(report)
			timer := time.AfterFunc(life, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
			_ = cmd.Wait()
			timer.Stop()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				a.request.Attempt++
				_ = os.Remove(report) // Perhaps half of it was written.
				continue
			}
			if r, err := readReport(report); err != nil || r.Class != wire.Done {
				t.Fatalf("the report is %+v (%v)", r, err)
			}
			a.mustHold(want)
			if a.request.Attempt == 1 {
				t.Error("no mover was killed")
			}
			return
		}
		t.Fatal("no mover got through")
	})
}

// TestAVolumeThatRunsFull while it is loaded, because something else takes the room.
func TestAVolumeThatRunsFull(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.data(t, 10)
		disk := t.TempDir()
		if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=100m"); err != nil {
			testenv.Skipf(t, "mount a tmpfs: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
		filler := filepath.Join(disk, "filler")
		var once sync.Once
		var full atomic.Bool
		a := newAttempt(t, engine, startHandler(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if isGet(r, "") {
				once.Do(func() {
					defer full.Store(true)
					if err := os.WriteFile(filler, make([]byte, 100<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
						t.Errorf("the volume was meant to run full: %v", err)
					}
				})
			}
			return false
		}))
		a.options.Paths.Volume = filepath.Join(disk, "volume")
		a.options.IdleTimeout = time.Minute // S3 answers nothing while the disk is filled.
		if err := os.Mkdir(a.options.Paths.Volume, 0o755); err != nil {
			t.Fatal(err)
		}
		r := a.run(2*time.Minute, want)
		a.mustEnd(r, wire.VolumeTooSmall)
		// The attempt may end before: a file that is removed while it grows still takes room.
		waitFor(t, time.Minute, "the filler has all the room", full.Load)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		a.mustFinish(want)
	})
}
