// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// etag is an S3 entity tag in 24 bytes, because a million of them are held in
// memory. S3 makes it the MD5 of a single-part object, and the MD5 of the
// parts' MD5s with "-<parts>" after it for a multipart one; other servers and
// encrypted objects have opaque ones, whose text is interned by the plan.
type etag struct {
	sum   [16]byte
	parts int32 // 0: a single part; >0: multipart; opaque otherwise.
	text  int32 // Index into the plan's opaque texts when parts is opaqueETag.
}

const opaqueETag = -1

// parseETag reads the tag as S3 prints it, with or without quotes. It reports
// false for a tag that has no digest in it.
func parseETag(s string) (etag, bool) {
	s = trimETag(s)
	digest, parts, multipart := strings.Cut(s, "-")
	var e etag
	if len(digest) != 2*len(e.sum) {
		return etag{parts: opaqueETag}, false
	}
	if _, err := hex.Decode(e.sum[:], []byte(digest)); err != nil || digest != strings.ToLower(digest) {
		return etag{parts: opaqueETag}, false
	}
	if !multipart {
		return e, true
	}
	n, err := strconv.ParseInt(parts, 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != parts {
		return etag{parts: opaqueETag}, false
	}
	e.parts = int32(n)
	return e, true
}

// trimETag removes the quotes and the weakness mark of an HTTP entity tag.
func trimETag(s string) string {
	return strings.Trim(strings.TrimPrefix(s, "W/"), `"`)
}

// String renders a tag with a digest; the plan renders opaque ones.
func (e etag) String() string {
	s := hex.EncodeToString(e.sum[:])
	if e.parts > 0 {
		s += "-" + strconv.Itoa(int(e.parts))
	}
	return s
}
