// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
)

// thinImage is a file that takes fewer MiB than it says: what is below a loop device acknowledges writes to memory that
// it refuses later. Grow ends that.
func thinImage(t *testing.T, takes, says int) (image string, grow func()) {
	t.Helper()
	testenv.Root(t)
	thin := t.TempDir()
	mount(t, "tmpfs", "tmpfs", thin, "-o", fmt.Sprintf("size=%dm", takes))
	image = filepath.Join(thin, "image")
	f, err := os.Create(image)
	mustDo(t, err)
	mustDo(t, errors.Join(f.Truncate(int64(says)<<20), f.Close()))
	return image, func() {
		if out, err := exec.Command("mount", "-o", "remount,size=1g", thin).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// thinVolume is an ext4 whose device takes less than it says: writes that it acknowledged to the
// file system fail later, with EIO. Grow ends that, and remount forgets all that is in memory.
func thinVolume(t *testing.T, dir string, takes, says int) (grow, remount func()) {
	t.Helper()
	image, grow := thinImage(t, takes, says)
	mkfs := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", image)
	if out, err := mkfs.CombinedOutput(); err != nil {
		testenv.Skipf(t, "mkfs.ext4: %v: %s", err, out)
	}
	mount(t, "ext4", image, dir, "-o", "loop")
	device, err := exec.Command("findmnt", "-n", "-o", "SOURCE", dir).Output()
	mustDo(t, err)
	giveBack := writePages(t, strings.TrimSpace(string(device)))
	return grow, func() {
		giveBack()
		waitFor(t, time.Minute, "the volume is not used any more", func() bool { return unix.Unmount(dir, 0) == nil })
		mount(t, "ext4", image, dir, "-o", "loop,ro")
	}
}

// thinDevice is a device that takes less than it says.
func thinDevice(t *testing.T, takes, says int) (device string, grow func()) {
	t.Helper()
	image, grow := thinImage(t, takes, says)
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		testenv.Skipf(t, "losetup: %v", err)
	}
	device = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	writePages(t, device)
	return device, grow
}

// writePages has a loop device write one page after the other. Of a larger request it would tell as written what the
// file below has taken the beginning of only, and no sync would tell otherwise. GiveBack ends that: whoever has the
// device next writes as usual. It comes before the device is given back, and with the test at the latest.
func writePages(t *testing.T, device string) (giveBack func()) {
	t.Helper()
	most := filepath.Join("/sys/block", filepath.Base(device), "queue/max_sectors_kb")
	usual, err := os.ReadFile(most)
	mustDo(t, err)
	mustDo(t, os.WriteFile(most, []byte("4"), 0o600))
	giveBack = sync.OnceFunc(func() {
		if err := os.WriteFile(most, usual, 0o600); err != nil { // The device writes slowly, and no worse.
			t.Logf("%s is left as it is: %v", most, err)
		}
	})
	t.Cleanup(giveBack)
	return giveBack
}

// inMemory keeps what was written in memory, once the device has refused it, too, and whatever memory others need:
// pages that are mapped and locked stay. Forget ends that.
func inMemory(t *testing.T, f *os.File, size int) (forget func()) {
	t.Helper()
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE|unix.MAP_LOCKED)
	mustDo(t, err)
	return func() { mustDo(t, unix.Munmap(memory)) }
}

// refusedOnce writes files, which the device refuses in part. The kernel tells of that once, to whom it may concern:
// here that is not the mover. The files look sound.
func refusedOnce(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	other, err := os.Open(dir)
	mustDo(t, err)
	var forget []func()
	defer func() { // No longer than here: the mover is to make the device itself answer.
		for _, f := range forget {
			f()
		}
	}()
	for name, b := range files {
		write(t, filepath.Join(dir, name), string(b))
		f, err := os.Open(filepath.Join(dir, name))
		mustDo(t, err)
		forget = append(forget, inMemory(t, f, len(b)))
		mustDo(t, f.Close())
	}
	mustRefuseOnce(t, func() error { return unix.Syncfs(int(other.Fd())) })
	mustDo(t, other.Close())
	for name, b := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%s was meant to look sound: %v", name, err)
		}
	}
}

func mustRefuseOnce(t *testing.T, flush func() error) {
	t.Helper()
	if first, second := flush(), flush(); first == nil || second != nil {
		t.Fatalf("the syncs end with %v and %v; the device was meant to refuse once", first, second)
	}
}
