// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestVolumeIsNotLeft(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "outside")
	for link, to := range map[string]string{"out": outside, "file": filepath.Join(outside, "secret"), "up": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := volume.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.MakeTarget(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"out/secret", "file", "up/x", "../x", "/etc/passwd", filepath.Join(outside, "secret")} {
		if f, err := v.Open(name); err == nil {
			t.Errorf("%q was opened", name)
			_ = f.Close()
		}
		if _, err := v.Stat(filepath.Join(name, ".")); err == nil && name != "file" {
			t.Errorf("%q was examined", name)
		}
		if f, err := v.Create(name, 1, false); err == nil {
			_ = f.Close()
			t.Errorf("%q was written", name)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "outside" {
		t.Errorf("the file outside is now %q", b)
	}
}

func TestTargetThroughALinkIsMadeAnew(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "target")); err != nil {
		t.Fatal(err)
	}
	v, err := volume.Open(dir, "target/deep")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.MakeTarget(); err != nil {
		t.Fatal(err)
	}
	f, err := v.Create("x", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside the volume there is now %v", left)
	}
}

func TestVolumeThatIsReadOnly(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	mount(t, "tmpfs", "tmpfs", dir, "-o", "ro")
	v, err := volume.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, err = ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod"})
	mustFail(t, err, wire.VolumeReadOnly, "read-only")
}

func mount(t *testing.T, kind, device, dir string, flags ...string) {
	t.Helper()
	args := append([]string{"-t", kind}, flags...)
	if out, err := exec.Command("mount", append(args, device, dir)...).CombinedOutput(); err != nil {
		testenv.Skipf(t, "mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// loopExt4 mounts a fresh ext4 of so many MiB, as a storage class would.
func loopExt4(t *testing.T, size int, dir string, mkfs ...string) {
	t.Helper()
	testenv.Root(t)
	image := filepath.Join(t.TempDir(), "ext4")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(size) << 20); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if out, err := exec.Command("mkfs.ext4", append(mkfs, "-q", "-F", image)...).CombinedOutput(); err != nil {
		testenv.Skipf(t, "mkfs.ext4: %v: %s", err, out)
	}
	mount(t, "ext4", image, dir, "-o", "loop")
}

func TestRoomOnARealFileSystem(t *testing.T) {
	s := startVersity(t)
	for i, n := range []int{9 << 20, 9 << 20, 9 << 20} {
		s.put(t, "set/"+string(rune('a'+i)), content(uint64(i), n))
	}
	for i := range 300 {
		s.put(t, "tiny/"+strings.Repeat("x", i+1)[:min(i+1, 200)]+string(rune('a'+i%26))+"/"+string(rune('a'+i%7)), nil)
	}
	for name, tt := range map[string]struct {
		prefix string
		size   int
		mkfs   []string
		want   wire.Reason
		texts  []string
	}{
		"it fits and lost+found stays": {prefix: "set", size: 40},
		"too few bytes": {
			prefix: "set", size: 20, want: wire.VolumeTooSmall, texts: []string{"27", "spec.resources.requests.storage"},
		},
		"too few inodes": {
			prefix: "tiny", size: 40, mkfs: []string{"-N", "100"}, want: wire.VolumeOutOfInodes,
			texts: []string{"files and directories"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			loopExt4(t, tt.size, b.paths.Volume, tt.mkfs...)
			b.request.Source.Prefix = tt.prefix
			r := b.run()
			if tt.want == "" {
				b.mustBeDone(r)
				if _, err := os.Stat(filepath.Join(b.paths.Volume, plan.LostAndFound)); err != nil {
					t.Error(err)
				}
				return
			}
			if r.Reason != tt.want || r.Class != wire.User || r.FetchedBytes != 0 {
				t.Errorf("report is %+v, want %s before any byte", r, tt.want)
			}
			for _, text := range tt.texts {
				if !strings.Contains(r.Message, text) {
					t.Errorf("message lacks %q: %s", text, r.Message)
				}
			}
		})
	}
}

// TestAVolumeThatRunsFull has another writer take the room after the check.
func TestAVolumeThatRunsFull(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		for i := range 10 {
			s.put(t, string(rune('a'+i)), content(uint64(i), 2<<20))
		}
		b := newBench(t, s.endpoint)
		loopExt4(t, 60, b.paths.Volume)
		p := startProxy(t, s, fillOnce(t, filepath.Join(b.paths.Volume, plan.LostAndFound, "thief"), 60<<20))
		b.request.Source.Endpoint = p.URL
		r := b.run()
		if r.Reason != wire.VolumeTooSmall || r.Class != wire.User || !strings.Contains(r.Message, "ran full") {
			t.Errorf("report is %+v, want %s", r, wire.VolumeTooSmall)
		}
	})
}
