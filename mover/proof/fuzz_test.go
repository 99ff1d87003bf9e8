// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"crypto/md5"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/plan"
)

// FuzzChecksum: a server may say anything of an object. What it says of another content never
// verifies this one, and says nothing where it has the wrong length.
func FuzzChecksum(f *testing.F) {
	f.Add("FULL_OBJECT", "AAAAAA==", "", []byte("x"))
	f.Add("COMPOSITE", "AAAAAA==", "", []byte("x"))
	f.Add("", "AAAAAA==-3", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", []byte{})
	f.Fuzz(func(t *testing.T, mode, crc, sha string, content []byte) {
		sum, algo := objectChecksum(minio.ObjectInfo{ChecksumMode: mode, ChecksumCRC32C: crc, ChecksumSHA256: sha})
		if sum == "" {
			return
		}
		want := Expectation{Method: ByChecksum, size: int64(len(content)), sum: sum, algo: algo}
		other := append([]byte{1}, content...)
		wantOther := want
		wantOther.size++
		if digestOf(want, content, 7).Matches() && digestOf(wantOther, other, 7).Matches() {
			t.Errorf("%q is the checksum of two contents", sum)
		}
	})
}

// FuzzParts: the digest of a multipart object is that of its bytes however they come.
func FuzzParts(f *testing.F) {
	f.Add([]byte("hello world"), uint16(5), uint16(3))
	f.Add([]byte("hello"), uint16(5), uint16(1))
	f.Add([]byte("h"), uint16(9), uint16(9))
	f.Fuzz(func(t *testing.T, content []byte, part, step uint16) {
		if len(content) == 0 || part == 0 || step == 0 {
			return
		}
		var sizes []int
		for left := len(content); left > 0; left -= int(part) {
			sizes = append(sizes, min(left, int(part)))
		}
		want := Expectation{
			Method: ByParts,
			size:   int64(len(content)),
			tag:    partsTag(content, sizes...),
			parts:  []int64{int64(part)},
		}
		if !digestOf(want, content, int(step)).Matches() {
			t.Errorf("%d bytes in parts of %d, %d at a time, do not match", len(content), part, step)
		}
		wrong := want
		wrong.tag = plan.ETag{Sum: md5.Sum(content), Parts: want.tag.Parts}
		if digestOf(wrong, content, int(step)).Matches() {
			t.Error("an MD5 of the whole is taken for one of the parts")
		}
	})
}
