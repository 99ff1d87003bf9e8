// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/plan"
)

// s3 is one object, as a server tells of it.
type s3 struct {
	size   int64
	parts  []int       // Sizes; nil: it does not know parts.
	status map[int]int // Of the answer about a part, where it is an error.
	info   minio.ObjectInfo
}

func (s *s3) Head(_ context.Context, _ string, o minio.StatObjectOptions) (minio.ObjectInfo, error) {
	if code, ok := s.status[o.PartNumber]; ok {
		return minio.ObjectInfo{}, minio.ErrorResponse{StatusCode: code}
	}
	if s.parts == nil {
		return minio.ObjectInfo{ETag: "x", Size: s.size}, nil
	}
	return minio.ObjectInfo{ETag: "x", Size: int64(s.parts[o.PartNumber-1])}, nil
}

func (s *s3) Unchanged(context.Context, *plan.Plan, plan.Entry) (minio.ObjectInfo, error) {
	return s.info, nil
}

func headers(name, value string) minio.ObjectInfo {
	return minio.ObjectInfo{Headers: http.Header{name: {value}}}
}

// TestAMismatchIsNotCalledASize is over all that a server may say of an object: right bytes are
// recognised by the best of it, and wrong ones by nothing, unless S3 itself says that there is
// nothing to recognise them by.
func TestAMismatchIsNotCalledASize(t *testing.T) {
	const n = 1001
	b := randomBytes(1, 3*n+1)
	even := slices.Repeat([]int{4}, 751)
	thousand := append(slices.Repeat([]int{3}, n), 1)
	uneven := append([]int{1, 5}, thousand[2:]...)
	const busy, unknown = http.StatusServiceUnavailable, http.StatusNotImplemented
	elsewhere := slices.Clone(uneven) // As the parts of another object.
	elsewhere[n] = 2
	refused := map[int]int{}
	for part := 2; part <= maxPartLookups+1; part++ {
		refused[part] = busy
	}
	sum := sha256.Sum256(b)
	checksum := minio.ObjectInfo{ChecksumSHA256: base64.StdEncoding.EncodeToString(sum[:])}
	kms := headers("X-Amz-Server-Side-Encryption", "aws:kms")
	kmsWithChecksum := kms
	kmsWithChecksum.ChecksumSHA256 = checksum.ChecksumSHA256
	whole, other := plan.ETag{Sum: md5.Sum(b)}, plan.ETag{Sum: md5.Sum(b[1:])}
	opaque := plan.ETag{Parts: plan.OpaqueETag}
	for test, tt := range map[string]struct {
		tag       plan.ETag
		s3        s3
		directory bool
		right     Method // Of the right bytes; Unverified: they are refused.
		wrong     Method // Of wrong bytes of the right length.
	}{
		"an MD5":                               {tag: whole, right: ByMD5},
		"an MD5 that is none":                  {tag: other},
		"an MD5 that is none, with a checksum": {tag: other, s3: s3{info: checksum}, right: ByChecksum},
		"a KMS key":                            {tag: other, s3: s3{info: kms}, right: BySize, wrong: BySize},
		"a KMS key, with a checksum":           {tag: other, s3: s3{info: kmsWithChecksum}, right: ByChecksum},
		"a KMS key of two layers": {
			tag: other, s3: s3{info: headers("X-Amz-Server-Side-Encryption", "aws:kms:dsse")}, right: BySize, wrong: BySize,
		},
		"a key of the client's": {
			tag: other, s3: s3{info: headers("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")}, right: BySize,
			wrong: BySize,
		},
		"a key of S3's own": {
			tag: other, s3: s3{info: headers("X-Amz-Server-Side-Encryption", "AES256")},
		},
		"a directory bucket":                  {tag: other, directory: true, right: BySize, wrong: BySize},
		"a directory bucket, with a checksum": {tag: other, directory: true, s3: s3{info: checksum}, right: ByChecksum},
		"no digest":                           {tag: opaque, right: BySize, wrong: BySize},
		"no digest, with a checksum":          {tag: opaque, s3: s3{info: checksum}, right: ByChecksum},
		"parts":                               {tag: partsTag(b, even...), s3: s3{parts: even}, right: ByParts},
		"more than a thousand parts":          {tag: partsTag(b, thousand...), s3: s3{parts: thousand}, right: ByParts},
		"more than a thousand uneven parts":   {tag: partsTag(b, uneven...), s3: s3{parts: uneven}, right: ByParts},
		"parts under a KMS key": {
			tag: plan.ETag{Sum: other.Sum, Parts: 2}, s3: s3{parts: []int{2000, 1004}, info: kms}, right: BySize, wrong: BySize,
		},
		"parts that are none": {tag: plan.ETag{Sum: other.Sum, Parts: 2}, s3: s3{parts: []int{2000, 1004}}},
		"a busy server, asked for the first": {
			tag: partsTag(b, uneven...), s3: s3{parts: uneven, status: map[int]int{1: busy}},
		},
		"a busy server, asked for the last": {
			tag: partsTag(b, uneven...), s3: s3{parts: uneven, status: map[int]int{len(uneven): busy}},
		},
		"a busy server, after a mismatch": {
			tag: partsTag(b, 1502, 1502), s3: s3{parts: []int{1503, 1501}, status: map[int]int{2: busy}},
		},
		"a silent server, after a mismatch": {
			tag: partsTag(b, 1502, 1502), s3: s3{parts: []int{1503, 1501}, status: map[int]int{2: unknown}},
		},
		"parts of a server that tells of none": {tag: partsTag(b, even...), right: BySize, wrong: BySize},
		"parts of one with a checksum":         {tag: partsTag(b, even...), s3: s3{info: checksum}, right: ByChecksum},
		"parts, and it refuses to tell": {
			tag: partsTag(b, even...), s3: s3{status: map[int]int{1: unknown}}, right: BySize, wrong: BySize,
		},
		"uneven parts that do not add up": {
			tag: partsTag(b, uneven...), s3: s3{parts: elsewhere}, right: BySize, wrong: BySize,
		},
		"uneven parts that do not add up, with a checksum": {
			tag: partsTag(b, uneven...), s3: s3{parts: elsewhere, info: checksum}, right: ByChecksum,
		},
		"a mismatch, and parts that do not add up": {
			tag: partsTag(b, 1502, 1502), s3: s3{parts: []int{1503, 1502}},
		},
		"as many parts as S3 takes, of a busy server": {
			tag: plan.ETag{Sum: other.Sum, Parts: maxPartLookups}, s3: s3{parts: []int{1}, status: refused},
		},
		"more parts than S3 takes": {
			tag: plan.ETag{Sum: other.Sum, Parts: maxPartLookups + 1}, s3: s3{parts: []int{1}, status: refused},
			right: BySize, wrong: BySize,
		},
		"one part, and it tells nothing":        {tag: partsTag(b, len(b)), right: ByParts},
		"one part, larger than the whole of it": {tag: partsTag(b, len(b)), s3: s3{parts: []int{5000}}, right: ByParts},
	} {
		t.Run(test, func(t *testing.T) {
			tt.s3.size = int64(len(b))
			p := &Prover{Asker: &tt.s3, OpaqueTags: tt.directory}
			e := plan.Entry{Key: "k", Path: "k", Size: tt.s3.size, ETag: tt.tag}
			damaged := bytes.Clone(b)
			damaged[len(b)/2] ^= 1
			for what, c := range map[string]struct {
				file []byte
				want Method
			}{"the right bytes": {b, tt.right}, "wrong bytes": {damaged, tt.wrong}} {
				got, err := p.Compare(t.Context(), bytes.NewReader(c.file), e, p.Expect)
				if got != c.want || (err == nil) != (c.want != Unverified) {
					t.Errorf("%s are verified by %s (%v), want %s", what, name(got), err, name(c.want))
				}
			}
		})
	}
}

// changed is an object of which S3 says that it is not as it was listed.
type changed struct{ s3 }

var errChanged = errors.New("it is not as it was listed")

func (*changed) Unchanged(context.Context, *plan.Plan, plan.Entry) (minio.ObjectInfo, error) {
	return minio.ObjectInfo{}, errChanged
}

// TestAnObjectThatIsListedAsEmpty is believed to be when its entity tag says so, or S3 does again.
func TestAnObjectThatIsListedAsEmpty(t *testing.T) {
	empty := plan.ETag{Sum: md5.Sum(nil)}
	for test, tt := range map[string]struct {
		tag   plan.ETag
		asker asker
		want  Method
	}{
		"by its entity tag":                         {empty, &changed{}, ByMD5},
		"by another tag, and it is":                 {plan.ETag{Parts: plan.OpaqueETag}, &s3{}, ByMD5},
		"by another digest, and it is":              {plan.ETag{Sum: md5.Sum([]byte("x"))}, &s3{}, ByMD5},
		"in one part, and it is":                    {partsTag(nil, 0), &s3{}, ByMD5},
		"by the tag of something, and it is not":    {plan.ETag{Sum: md5.Sum([]byte("x"))}, &changed{}, Unverified},
		"by a tag that says nothing, and it is not": {plan.ETag{Parts: plan.OpaqueETag}, &changed{}, Unverified},
	} {
		t.Run(test, func(t *testing.T) {
			p := &Prover{Asker: tt.asker}
			got, err := p.Compare(t.Context(), bytes.NewReader(nil), plan.Entry{Key: "k", Path: "k", ETag: tt.tag}, p.Expect)
			if got != tt.want || (tt.want == Unverified) != errors.Is(err, errChanged) {
				t.Errorf("it is verified by %s (%v), want %s", name(got), err, name(tt.want))
			}
		})
	}
}
