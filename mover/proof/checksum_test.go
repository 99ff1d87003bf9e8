// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/plan"
)

// partsTag is the entity tag of an object uploaded in parts of these sizes.
func partsTag(b []byte, sizes ...int) plan.ETag {
	var all []byte
	for _, n := range sizes {
		sum := md5.Sum(b[:n])
		all, b = append(all, sum[:]...), b[n:]
	}
	return plan.ETag{Sum: md5.Sum(all), Parts: int32(len(sizes))}
}

func TestDigester(t *testing.T) {
	b := randomBytes(1, 1000)
	crc := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	sha := sha256.Sum256(b)
	crcSum, crcAlgo := objectChecksum(minio.ObjectInfo{
		ChecksumCRC32C: base64.StdEncoding.EncodeToString(
			[]byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)},
		), ChecksumMode: "FULL_OBJECT",
	})
	shaSum, shaAlgo := objectChecksum(minio.ObjectInfo{ChecksumSHA256: base64.StdEncoding.EncodeToString(sha[:])})
	for name, want := range map[string]Expectation{
		"MD5":                          {Method: ByMD5, tag: plan.ETag{Sum: md5.Sum(b)}},
		"one part":                     {Method: ByParts, tag: partsTag(b, 1000), parts: []int64{1000}},
		"one part, larger part size":   {Method: ByParts, tag: partsTag(b, 1000), parts: []int64{5000}},
		"even parts":                   {Method: ByParts, tag: partsTag(b, 250, 250, 250, 250), parts: []int64{250}},
		"a shorter last part":          {Method: ByParts, tag: partsTag(b, 300, 300, 300, 100), parts: []int64{300}},
		"a last part of one byte":      {Method: ByParts, tag: partsTag(b, 999, 1), parts: []int64{999}},
		"uneven parts":                 {Method: ByParts, tag: partsTag(b, 10, 600, 390), parts: []int64{10, 600, 390}},
		"a checksum of four bytes":     {Method: ByChecksum, sum: crcSum, algo: crcAlgo},
		"a checksum of the whole hash": {Method: ByChecksum, sum: shaSum, algo: shaAlgo},
	} {
		t.Run(name, func(t *testing.T) {
			want.size = int64(len(b))
			for _, step := range []int{1, 7, 250, 256, 999, 1000} {
				if !digestOf(want, b, step).Matches() {
					t.Errorf("the right bytes, %d at a time, do not match", step)
				}
			}
			wrong := append([]byte{}, b...)
			wrong[500] ^= 1
			if digestOf(want, wrong, 100).Matches() {
				t.Error("a flipped bit matches")
			}
			for what, file := range map[string][]byte{"the right file": b, "a file with a flipped bit": wrong} {
				same, err := DigestFile(t.Context(), bytes.NewReader(file), want)
				if err != nil || same != bytes.Equal(file, b) {
					t.Errorf("%s, read back: same is %v, %v", what, same, err)
				}
			}
			if digestOf(want, b[:999], 100).Matches() || digestOf(want, append(b[:1000:1000], 0), 100).Matches() {
				t.Error("a byte less or more matches")
			}
		})
	}
}

// TestADigestThatIsStopped: a mover that is told to stop does not read a large file to its end.
func TestADigestThatIsStopped(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	want := errors.New("stop")
	stop(want)
	if _, err := DigestFile(ctx, rand.NewChaCha8([32]byte{}), Expectation{Method: ByMD5}); !errors.Is(err, want) {
		t.Errorf("it ends with %v", err)
	}
}

func digestOf(want Expectation, b []byte, step int) *Digester {
	d := NewDigester(want)
	for len(b) > 0 {
		n := min(step, len(b))
		_, _ = d.Write(b[:n])
		b = b[n:]
	}
	return d
}

func TestDigesterOfNothing(t *testing.T) {
	if !NewDigester(Expectation{Method: ByMD5, tag: plan.ETag{Sum: md5.Sum(nil)}}).Matches() {
		t.Error("an empty file is not an empty object")
	}
	if NewDigester(Expectation{Method: Unverified}).Matches() {
		t.Error("no expectation matches")
	}
}

func TestObjectChecksumIgnoresWhatIsNotOfTheWhole(t *testing.T) {
	for name, o := range map[string]minio.ObjectInfo{
		"composite by type":   {ChecksumCRC32C: "AAAAAA==", ChecksumMode: "COMPOSITE"},
		"composite by suffix": {ChecksumCRC32C: "AAAAAA==-3"},
		"of the wrong length": {ChecksumSHA256: "AAAAAA=="},
		"none":                {},
	} {
		if sum, _ := objectChecksum(o); sum != "" {
			t.Errorf("%s: got %q", name, sum)
		}
	}
}

func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = r.Read(b)
	return b
}
