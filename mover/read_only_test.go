// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// frailVolume is an ext4 that becomes read-only with its first error, which fail has it find. Repair mounts it anew.
func frailVolume(t *testing.T, dir string) (fail func() error, repair func()) {
	t.Helper()
	testenv.Root(t)
	image := filepath.Join(t.TempDir(), "ext4")
	f, err := os.Create(image)
	mustDo(t, err)
	mustDo(t, errors.Join(f.Truncate(120<<20), f.Close()))
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		testenv.Skipf(t, "mkfs.ext4: %v: %s", err, out)
	}
	const options = "loop,errors=remount-ro"
	mount(t, "ext4", image, dir, "-o", options)
	device, err := exec.Command("findmnt", "-n", "-o", "SOURCE", dir).Output()
	mustDo(t, err)
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(device))), "trigger_fs_error")
	fail = func() error { return os.WriteFile(trigger, []byte("test"), 0o200) }
	return fail, func() {
		waitFor(t, time.Minute, "the volume is not used any more", func() bool { return unix.Unmount(dir, 0) == nil })
		out, err := exec.Command("e2fsck", "-f", "-y", image).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) { // 1: mended.
			t.Fatalf("e2fsck: %v: %s", err, out)
		}
		mount(t, "ext4", image, dir, "-o", options)
	}
}

// TestAVolumeThatBecomesReadOnly after an error of its device, while a mover fills it.
func TestAVolumeThatBecomesReadOnly(t *testing.T) {
	for _, engine := range []string{wire.EngineMC, wire.EngineNative} {
		t.Run(engine, func(t *testing.T) {
			s := startVersity(t)
			want := small(t, s, 20)
			want["large"] = content(99, plan.LargeSize+5)
			s.put(t, "large", want["large"])
			b := newBench(t, "")
			fail, repair := frailVolume(t, b.paths.Volume)
			var once sync.Once
			p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && keyOf(r) == "large" { // None of its bytes are on the volume.
					once.Do(func() {
						if err := fail(); err != nil {
							t.Error(err)
						}
					})
				}
				return false
			})
			b.request.Source.Endpoint, b.request.Transfer.Engine = p.URL, engine
			b.options.CheckpointEvery = time.Hour // A journal that is synced meanwhile would tell of another error, EIO.
			r := b.run()
			if r.Reason != wire.VolumeReadOnly || !r.Class.Again() {
				t.Errorf("report is %+v, want %s", r, wire.VolumeReadOnly)
			}
			if err := os.WriteFile(filepath.Join(b.paths.Volume, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("the volume was meant to be read-only: %v", err)
			}
			repair()
			b.request.Attempt, b.request.Volume.Began = 2, r.Began
			b.mustBeDone(b.run())
			repair()
			want[plan.LostAndFound+"/"] = nil
			b.mustHold(want)
		})
	}
}

// A sync that is under way when a file system becomes read-only meets the error of the device. What is told is that
// nothing can be written any more, whoever has found that out, unless another mover has the volume by now.
func TestACheckpointOfAVolumeThatBecomesReadOnly(t *testing.T) {
	nothing := func(*testing.T, string, *transfer) {}
	readOnly := &fs.PathError{Op: "open", Path: "b", Err: unix.EROFS}
	for name, tt := range map[string]struct {
		before func(t *testing.T, dir string, tr *transfer)
		work   error // That of the checkpoint where it is none.
		want   wire.Reason
	}{
		"work finds it out":          {nothing, readOnly, wire.VolumeReadOnly},
		"the checkpoint finds it":    {becomeReadOnly, nil, wire.VolumeReadOnly},
		"it is not read-only":        {nothing, nil, wire.TransferFailed},
		"something else fails":       {nothing, fault.New(wire.AccessDenied, "no"), wire.TransferFailed},
		"another mover has taken it": {loseJournal, readOnly, wire.Fenced},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.Root(t)
			dir := t.TempDir()
			mount(t, "tmpfs", "tmpfs", dir)
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 1})
			mustDo(t, err)
			tr := attemptOn(t, dir, &proof.Prover{Asker: silentS3{}, Plan: p})
			tr.checkpointEvery = time.Millisecond
			write(t, filepath.Join(dir, "a"), "x")
			tt.before(t, dir, tr)
			mustDo(t, tr.volume.Dir.Close()) // So that no sync succeeds.
			err = tr.saving(t.Context(), func(ctx context.Context) error {
				tr.ledger.Verified(0, proof.BySize, plan.Identity{}, false)
				<-ctx.Done() // The checkpoint has failed.
				if tt.work != nil {
					return tt.work
				}
				return context.Cause(ctx)
			})
			if f := tr.faults.Classify(err); f.Reason != tt.want {
				t.Errorf("it ends with %s: %v, want %s", f.Reason, err, tt.want)
			}
		})
	}
}

func becomeReadOnly(t *testing.T, dir string, tr *transfer) {
	t.Helper()
	tr.journal.Close() // A file that is open for writing keeps a file system from that.
	mustDo(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}

func loseJournal(t *testing.T, dir string, _ *transfer) {
	t.Helper()
	mustDo(t, os.RemoveAll(filepath.Join(dir, wire.JournalDir)))
}
