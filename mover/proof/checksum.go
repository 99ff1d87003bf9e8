// SPDX-License-Identifier: Apache-2.0

// Package proof tells by what an object is recognised, and compares. It is the only one that
// names a method.
package proof

import (
	"cmp"
	"crypto/md5"  // #nosec G501 -- what S3 calls an entity tag.
	"crypto/sha1" // #nosec G505 -- one of S3's checksums.
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/minio/crc64nvme"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/plan"
)

// Method is how a file was compared with its object.
type Method = plan.Method

// The methods, from the strongest on.
const (
	Unverified  = plan.Unverified
	ByMD5       = Method(1) // The entity tag is the MD5 of the content.
	ByParts     = Method(2) // The entity tag is the MD5 of the parts' MD5s.
	ByChecksum  = Method(3) // S3 gave a checksum of the whole object.
	BySize      = Method(4) // S3 gave nothing that depends on the content, or the policy is Size.
	ByExistence = Method(5) // A directory.
)

// name of a method, for people.
func name(by Method) string {
	return [plan.Methods]string{"nothing", "MD5", "multipart MD5", "checksum", "size", "existence"}[by]
}

// Summary says by which methods the content was verified.
func Summary(counts [plan.Methods]int64) string {
	var parts []string
	for by := ByMD5; by < ByExistence; by++ {
		if n := counts[by]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d by %s", n, name(by)))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing to verify")
}

// Expectation is what a file's bytes are compared with.
type Expectation struct {
	Method Method
	size   int64
	tag    plan.ETag
	parts  []int64 // Sizes of the parts, the last one repeated for as long as bytes come.
	sum    string  // Base64, of algorithm, for ByChecksum.
	algo   func() hash.Hash
}

// Digester computes what an expectation needs while bytes pass by.
type Digester struct {
	want  Expectation
	inner hash.Hash // Of the file, or of the current part.
	outer hash.Hash // Of the parts' digests.
	part  int       // Index of the current part.
	left  int64     // Bytes until the current part ends.
	Size  int64
}

// NewDigester computes what an object is expected to have.
func NewDigester(want Expectation) *Digester {
	d := &Digester{want: want}
	switch want.Method {
	case ByMD5:
		d.inner = md5.New() // #nosec G401
	case ByParts:
		d.inner, d.outer, d.left = md5.New(), md5.New(), want.parts[0] // #nosec G401
	case ByChecksum:
		d.inner = want.algo()
	case BySize, ByExistence, Unverified:
	}
	return d
}

// Write never fails.
func (d *Digester) Write(p []byte) (int, error) {
	n := len(p)
	d.Size += int64(n)
	for d.outer != nil && int64(len(p)) >= d.left {
		d.inner.Write(p[:d.left])
		p = p[d.left:]
		d.endPart()
	}
	if d.inner != nil {
		d.inner.Write(p)
	}
	if d.outer != nil {
		d.left -= int64(len(p))
	}
	return n, nil
}

func (d *Digester) endPart() {
	d.outer.Write(d.inner.Sum(nil))
	d.inner.Reset()
	d.part++
	d.left = d.want.parts[min(d.part, len(d.want.parts)-1)]
}

// Matches reports whether the bytes seen are those of the object. It is asked
// once, after the last byte.
func (d *Digester) Matches() bool {
	if d.Size != d.want.size {
		return false
	}
	switch d.want.Method {
	case ByMD5:
		return [16]byte(d.inner.Sum(nil)) == d.want.tag.Sum
	case ByParts:
		if d.left < d.want.parts[min(d.part, len(d.want.parts)-1)] {
			d.endPart() // The last part is mostly shorter.
		}
		return d.part == int(d.want.tag.Parts) && [16]byte(d.outer.Sum(nil)) == d.want.tag.Sum
	case ByChecksum:
		return base64.StdEncoding.EncodeToString(d.inner.Sum(nil)) == d.want.sum
	case BySize:
		return true
	case ByExistence, Unverified:
	}
	return false
}

// fullObject is what S3 says of a checksum that is of the whole object, however many parts that has.
const fullObject = "FULL_OBJECT"

// objectChecksum picks the checksum of the whole object from its metadata. A
// composite one, of the parts' checksums, is no use without the parts.
func objectChecksum(o minio.ObjectInfo) (sum string, algo func() hash.Hash) {
	if o.ChecksumMode != "" && o.ChecksumMode != fullObject {
		return "", nil
	}
	for _, c := range []struct {
		sum  string
		algo func() hash.Hash
	}{
		{o.ChecksumSHA256, sha256.New},
		{o.ChecksumSHA1, sha1.New},
		{o.ChecksumCRC64NVME, func() hash.Hash { return crc64nvme.New() }},
		{o.ChecksumCRC32C, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
		{o.ChecksumCRC32, func() hash.Hash { return crc32.NewIEEE() }},
	} {
		if raw, err := base64.StdEncoding.DecodeString(c.sum); err == nil && c.sum != "" && len(raw) == c.algo().Size() {
			return c.sum, c.algo
		}
	}
	return "", nil
}
