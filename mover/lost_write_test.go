// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

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
	thinAttempt(t, dir, p, func(*transfer) {})
	refusedOnce(t, dir, want)
	grow()
	var verified []string
	thinAttempt(t, dir, p, func(tr *transfer) {
		mustDo(t, tr.resume(t.Context()))
		for i, e := range p.Entries.All() {
			if tr.ledger.IsVerified(i) {
				verified = append(verified, e.Path)
			}
		}
	})
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

// TestALostRangeIsNotBelieved is the same for ranges of a large file, which the journal notes with their sums before
// they are synced.
func TestALostRangeIsNotBelieved(t *testing.T) {
	const size, block = 40 << 20, 4 << 20
	dir := t.TempDir()
	grow, remount := thinVolume(t, dir, 24, 80)
	object := content(1, size)
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size})
	mustDo(t, err)
	var lines []ledger.Line
	for at := 0; at < size; at += block {
		lines = append(lines, ledger.Line{
			Path: "large", ETag: p.TagText(p.Entries.At(0).ETag), Offset: int64(at), Size: block,
			Sum: crc64nvme.Checksum(object[at : at+block]), Summed: true,
		})
	}
	thinAttempt(t, dir, p, func(tr *transfer) { mustDo(t, tr.journal.Add(lines)) })
	refusedOnce(t, dir, map[string][]byte{"large": object})
	grow()
	var kept ledger.Extents
	thinAttempt(t, dir, p, func(tr *transfer) {
		mustDo(t, tr.resume(t.Context()))
		kept = tr.ledger.Partial.Ranges(0)
	})
	remount()
	large, err := os.Open(filepath.Join(dir, "large"))
	mustDo(t, err)
	defer large.Close()
	for _, r := range kept {
		got := make([]byte, r.Length)
		if _, err := large.ReadAt(got, r.Offset); err != nil || !bytes.Equal(got, object[r.Offset:r.End()]) {
			t.Errorf("%v was kept, and the device holds something else (%v)", r, err)
		}
	}
	if kept.Bytes() == size {
		t.Error("all was kept, and the device has not taken all")
	}
}

// thinAttempt is what an attempt does on a volume that it has taken over.
func thinAttempt(t *testing.T, dir string, p *plan.Plan, do func(tr *transfer)) {
	t.Helper()
	v, err := volume.Open(dir, "")
	mustDo(t, err)
	defer v.Close()
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod", Request: "r"})
	mustDo(t, err)
	defer j.Close()
	mustDo(t, v.MakeTarget())
	tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
	tr.checkpointEvery = time.Hour
	do(tr)
}
