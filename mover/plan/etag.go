// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// ETag is an S3 entity tag, by its digest and not by its text, because a million of them are held in
// memory. S3 makes it the MD5 of a single-part object, and the MD5 of the
// parts' MD5s with "-<parts>" after it for a multipart one; other servers and
// encrypted objects have opaque ones, whose text is interned by the plan.
type ETag struct {
	Sum   [16]byte
	Parts int32 // 0: a single part; >0: multipart; opaque otherwise.
	text  int32 // Index into the plan's opaque texts when parts is opaqueETag.
}

// OpaqueETag stands for the number of parts where the tag is no digest by its shape.
const OpaqueETag = -1

// parseETag reads the tag as S3 prints it, with or without quotes. It reports
// false for a tag that has no digest in it.
func parseETag(s string) (ETag, bool) {
	s = TrimETag(s)
	digest, parts, multipart := strings.Cut(s, "-")
	var e ETag
	if len(digest) != 2*len(e.Sum) {
		return ETag{Parts: OpaqueETag}, false
	}
	if _, err := hex.Decode(e.Sum[:], []byte(digest)); err != nil || digest != strings.ToLower(digest) {
		return ETag{Parts: OpaqueETag}, false
	}
	if !multipart {
		return e, true
	}
	n, err := strconv.ParseInt(parts, 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != parts {
		return ETag{Parts: OpaqueETag}, false
	}
	e.Parts = int32(n)
	return e, true
}

// TrimETag removes the quotes and the weakness mark of an HTTP entity tag.
func TrimETag(s string) string {
	return strings.Trim(strings.TrimPrefix(s, "W/"), `"`)
}

// String renders a tag with a digest; the plan renders opaque ones.
func (e ETag) String() string {
	s := hex.EncodeToString(e.Sum[:])
	if e.Parts > 0 {
		s += "-" + strconv.Itoa(int(e.Parts))
	}
	return s
}

// IsDirectoryBucket tells buckets of S3 Express One Zone by their name: S3 gives it to no other.
// An entity tag there is no digest of the content.
func IsDirectoryBucket(bucket string) bool { return strings.HasSuffix(bucket, "--x-s3") }
