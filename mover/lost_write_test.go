// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// thinVolume is an ext4 whose device takes less than it says: writes that it acknowledged to the
// file system fail later, with EIO. Grow ends that, and remount forgets all that is in memory.
func thinVolume(t *testing.T, dir string, takes, says int) (grow, remount func()) {
	t.Helper()
	testenv.Root(t)
	thin := t.TempDir()
	mount(t, "tmpfs", "tmpfs", thin, "-o", fmt.Sprintf("size=%dm", takes))
	image := filepath.Join(thin, "ext4")
	f, err := os.Create(image)
	mustDo(t, err)
	mustDo(t, errors.Join(f.Truncate(int64(says)<<20), f.Close()))
	mkfs := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", image)
	if out, err := mkfs.CombinedOutput(); err != nil {
		testenv.Skipf(t, "mkfs.ext4: %v: %s", err, out)
	}
	mount(t, "ext4", image, dir, "-o", "loop")
	writePages(t, dir)
	grow = func() {
		if out, err := exec.Command("mount", "-o", "remount,size=1g", thin).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return grow, func() {
		waitFor(t, time.Minute, "the volume is not used any more", func() bool { return unix.Unmount(dir, 0) == nil })
		mount(t, "ext4", image, dir, "-o", "loop,ro")
	}
}

// writePages has the loop device below a directory write one page after the other. Of a larger request it would tell as
// written what the file below has taken the beginning of only, and no sync would tell otherwise.
func writePages(t *testing.T, dir string) {
	t.Helper()
	device, err := exec.Command("findmnt", "-n", "-o", "SOURCE", dir).Output()
	mustDo(t, err)
	most := filepath.Join("/sys/block", filepath.Base(strings.TrimSpace(string(device))), "queue/max_sectors_kb")
	usual, err := os.ReadFile(most)
	mustDo(t, err)
	mustDo(t, os.WriteFile(most, []byte("4"), 0o600))
	t.Cleanup(func() { mustDo(t, os.WriteFile(most, usual, 0o600)) })
}

// TestALostWriteIsNotBelieved: the kernel tells of a write that the device refused once, to whom it
// may concern. Here that was not the mover: its files look sound, every sync succeeds, and the
// device holds something else.
func TestALostWriteIsNotBelieved(t *testing.T) {
	const files, size = 4, 8 << 20
	dir := t.TempDir()
	grow, remount := thinVolume(t, dir, 24, 80)
	var objects []listed
	want := map[string][]byte{}
	for i := range files {
		name := fmt.Sprintf("f%d", i)
		want[name] = content(uint64(i), size)
		sum := md5.Sum(want[name])
		objects = append(objects, listed{key: name, size: size, etag: hex.EncodeToString(sum[:])})
	}
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, objects...)
	mustDo(t, err)
	attempt := func() (*transfer, func()) {
		v, err := volume.Open(dir, "")
		mustDo(t, err)
		j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod", Request: "r"})
		mustDo(t, err)
		mustDo(t, v.MakeTarget())
		tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
		tr.checkpointEvery = time.Hour
		return tr, func() { j.Close(); v.Close() }
	}
	_, end := attempt()
	end()
	other, err := os.Open(dir)
	mustDo(t, err)
	for name, b := range want {
		write(t, filepath.Join(dir, name), string(b))
	}
	first, second := unix.Syncfs(int(other.Fd())), unix.Syncfs(int(other.Fd()))
	mustDo(t, other.Close())
	if first == nil || second != nil {
		t.Fatalf("the syncs end with %v and %v; the device was meant to refuse once", first, second)
	}
	for name, b := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%s was meant to look sound: %v", name, err)
		}
	}
	grow()
	tr, end := attempt()
	mustDo(t, tr.resume(t.Context()))
	var verified []string
	for i, e := range p.Entries.All() {
		if tr.ledger.IsVerified(i) {
			verified = append(verified, e.Path)
		}
	}
	end()
	remount()
	for _, name := range verified {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want[name]) {
			t.Errorf("%s was verified, and the device holds something else (%v)", name, err)
		}
	}
	if len(verified) == files {
		t.Error("all was verified, and the device has not taken all")
	}
}
