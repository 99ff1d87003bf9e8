// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
)

func TestWhatIsSaidOfAnAnswer(t *testing.T) {
	b := randomBytes(1, 1000)
	digest, sha := md5.Sum(b), sha256.Sum256(b)
	tag, sum := hex.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString(sha[:])
	none := sha256.Sum256(nil)
	ofNothing := base64.StdEncoding.EncodeToString(none[:])
	const kms, ofClient = "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Customer-Algorithm"
	for name, tt := range map[string]struct {
		said       minio.ObjectInfo
		opaqueTags bool
		knows      bool // That other bytes are others.
	}{
		"an entity tag":                {said: minio.ObjectInfo{ETag: tag}, knows: true},
		"one in quotes":                {said: minio.ObjectInfo{ETag: `W/"` + tag + `"`}, knows: true},
		"a checksum":                   {said: minio.ObjectInfo{ChecksumSHA256: sum}, knows: true},
		"both":                         {said: minio.ObjectInfo{ETag: tag, ChecksumSHA256: sum}, knows: true},
		"a checksum of something else": {said: minio.ObjectInfo{ETag: tag, ChecksumSHA256: ofNothing}, knows: true},
		"a checksum of all, and a tag of parts": {
			said: minio.ObjectInfo{ETag: tag + "-2", ChecksumSHA256: sum, ChecksumMode: "FULL_OBJECT"}, knows: true,
		},
		"a checksum of a part, and a tag of parts": {said: minio.ObjectInfo{ETag: tag + "-2", ChecksumSHA256: ofNothing}},
		"a checksum, and an opaque tag with a hyphen": {
			said: minio.ObjectInfo{ETag: "opaque-2", ChecksumSHA256: sum}, knows: true,
		},
		"a checksum, and any tag": {said: minio.ObjectInfo{ETag: emptyTag, ChecksumSHA256: sum}, knows: true},
		"a checksum in a directory bucket": {
			said: minio.ObjectInfo{ETag: emptyTag, ChecksumSHA256: sum}, opaqueTags: true, knows: true,
		},
		"an entity tag of parts":    {said: minio.ObjectInfo{ETag: emptyTag + "-2"}},
		"an opaque one":             {said: minio.ObjectInfo{ETag: "opaque"}},
		"one in upper case":         {said: minio.ObjectInfo{ETag: strings.ToUpper(emptyTag)}},
		"one of a directory bucket": {said: minio.ObjectInfo{ETag: emptyTag}, opaqueTags: true},
		"one under a KMS key": {
			said: minio.ObjectInfo{ETag: emptyTag, Headers: http.Header{kms: {"aws:kms"}}},
		},
		"one under a key of the client": {
			said: minio.ObjectInfo{ETag: emptyTag, Headers: http.Header{ofClient: {"AES256"}}},
		},
		"a checksum of the parts' checksums": {
			said: minio.ObjectInfo{ChecksumSHA256: ofNothing, ChecksumMode: "COMPOSITE"},
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			for what, text := range map[string][]byte{"the right bytes": b, "others": b[1:]} {
				s := SaidOf(tt.said, tt.opaqueTags)
				for _, c := range text {
					_, _ = s.Write([]byte{c})
				}
				if denies, want := s.Denies(), tt.knows && what == "others"; denies != want {
					t.Errorf("%s are denied: %v, want %v", what, denies, want)
				}
			}
		})
	}
}

const emptyTag = "d41d8cd98f00b204e9800998ecf8427e"
