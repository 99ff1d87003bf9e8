// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"github.com/s3populator/s3populator/mover/wire"
)

// ListPrefix is what S3 is asked for. In Directory mode a prefix names a
// directory, so that imagenet does not select imagenet2/.
func ListPrefix(s wire.Source) string {
	if s.Prefix == "" || s.PrefixMode == LiteralPrefix || strings.HasSuffix(s.Prefix, "/") {
		return s.Prefix
	}
	return s.Prefix + "/"
}

// LiteralPrefix is the value of prefixMode for a prefix that may end within a segment.
const LiteralPrefix = "Literal"

// basePrefix is the part of the keys that does not become part of the paths,
// and whether all of the prefix is that: a literal prefix that ends within a
// segment keeps the segment.
func basePrefix(s wire.Source) (base string, whole bool) {
	prefix := ListPrefix(s)
	base = prefix[:strings.LastIndexByte(prefix, '/')+1]
	return base, base == prefix
}

// NameStart is what every path of the source begins with: the last part of a literal prefix, where that ends
// within a segment.
func NameStart(s wire.Source) string {
	base, _ := basePrefix(s)
	return strings.TrimPrefix(ListPrefix(s), base)
}

// Direct tells that objects are fetched by our own client, because mc cannot ask for them: it
// signs no header of ours, and takes a version for one object per process only.
func Direct(s wire.Source) bool {
	for _, o := range s.Objects {
		if o.VersionID != "" {
			return true
		}
	}
	return s.RequestPayer
}
