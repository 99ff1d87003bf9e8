// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/plan"
)

// Said is what S3 says of the content of an object that nobody has listed, together with that content, which is written
// to it: a checksum of the whole, and an entity tag that is the MD5.
type Said struct{ sums []saidSum }

type saidSum struct {
	want string // Base64.
	got  hash.Hash
}

// SaidOf reads it from an answer. OpaqueTags means that entity tags are no digests, whatever they look like. A gateway
// may keep a checksum that it was told of a part. Where the entity tag is one of parts, no MD5 tells that, and a
// checksum is believed only if it is said to be of the whole.
func SaidOf(o minio.ObjectInfo, opaqueTags bool) Said {
	var s Said
	tag, _, ofParts := strings.Cut(plan.TrimETag(o.ETag), "-")
	raw, err := hex.DecodeString(tag)
	isDigest := err == nil && len(raw) == md5.Size && hex.EncodeToString(raw) == tag
	if sum, algo := objectChecksum(o); sum != "" && (!isDigest || !ofParts || o.ChecksumMode == fullObject) {
		s.sums = append(s.sums, saidSum{sum, algo()})
	}
	if isDigest && !ofParts && !opaqueTags && !encrypted(o) {
		s.sums = append(s.sums, saidSum{base64.StdEncoding.EncodeToString(raw), md5.New()}) // #nosec G401
	}
	return s
}

// Write never fails.
func (s Said) Write(p []byte) (int, error) {
	for _, sum := range s.sums {
		sum.got.Write(p)
	}
	return len(p), nil
}

// Denies tells that what was written is not the content. One sum that is right proves it, for the same reason; where S3
// says none, nothing is denied.
func (s Said) Denies() bool {
	for _, sum := range s.sums {
		if base64.StdEncoding.EncodeToString(sum.got.Sum(nil)) == sum.want {
			return false
		}
	}
	return len(s.sums) > 0
}
