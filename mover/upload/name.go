// SPDX-License-Identifier: Apache-2.0

// Package upload sends what is on a volume to S3. It never writes on the volume and follows no link.
package upload

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// maxKey is the longest key of S3, in bytes of UTF-8.
const maxKey = 1024

// keyProblem says why a path below the exported one cannot be a key below the prefix, or
// returns the empty string.
func keyProblem(prefix, path string) string {
	switch {
	case !utf8.ValidString(path):
		return "it is not UTF-8"
	case len(prefix)+len(path) > maxKey:
		return "its key is longer than " + strconv.Itoa(maxKey) + " bytes"
	case strings.ContainsFunc(path, notXML):
		return "it has a character that no listing can hold"
	}
	return ""
}

// notXML tells characters that XML 1.0 has no way to write, and listings are XML. Not all servers make
// use of encoding-type=url for them.
func notXML(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xfffe || c == 0xffff
}

// reserved reports whether a name at the root of a volume belongs to the file system, to the
// storage, or to us.
func reserved(name string) bool {
	return name == wire.JournalDir || slices.Contains(plan.StorageOwn, name)
}
