// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/s3populator/s3populator/mover/wire"
)

const (
	// maxSegment is NAME_MAX of every Linux file system, in bytes.
	maxSegment = 255
	// maxPath bounds a path below the volume. PATH_MAX is 4096 with the final
	// NUL; the rest is for the mount point and for mc's temporary name, which
	// is a 36 byte UUID in place of the last segment.
	maxPath = 4000
	// LostAndFound belongs to the file system, at the root of the volume.
	LostAndFound = "lost+found"
)

// StorageOwn are directories at the root that the file system or the storage
// keeps there: they count as nothing and are never touched.
var StorageOwn = []string{LostAndFound, ".snapshot", ".snapshots"}

// checkPath says why a relative path cannot be a file or directory on the
// volume, or returns the empty string. A path that ends in "/" is a directory.
// It is the first of two guards: whatever it lets through is still only opened
// below os.Root.
func checkPath(target, path string) string {
	full := path
	if target != "" {
		full = target + "/" + path
	}
	switch {
	case path == "":
		return "it is empty"
	case path[0] == '/':
		return "it is absolute"
	case strings.IndexByte(path, 0) >= 0:
		return "it contains a NUL byte"
	case len(full) > maxPath:
		return "it is longer than " + strconv.Itoa(maxPath) + " bytes"
	}
	if problem := checkSegments(strings.TrimSuffix(path, "/")); problem != "" {
		return problem
	}
	first, _, _ := strings.Cut(full, "/")
	if first == wire.JournalDir || slices.Contains(StorageOwn, first) {
		return strconv.Quote(first) + " at the root of the volume is reserved"
	}
	return ""
}

func checkSegments(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case segment == "":
			return "it has an empty segment"
		case segment == "." || segment == "..":
			return "it has a " + strconv.Quote(segment) + " segment"
		case len(segment) > maxSegment:
			return "a segment is longer than " + strconv.Itoa(maxSegment) + " bytes"
		}
	}
	return ""
}

// CheckTarget says why a targetPath is refused, or returns the empty string.
func CheckTarget(target string) string {
	if target == "" {
		return ""
	}
	if strings.HasSuffix(target, "/") {
		return "it ends in a slash"
	}
	return checkPath("", target)
}

// Quote renders a key for a message: printable, bounded, unambiguous.
func Quote(key string) string {
	const most = 120 // Enough to recognise a key; a report has 4096 bytes in all.
	if len(key) > most {
		return strconv.Quote(key[:most]) + "..."
	}
	return strconv.Quote(key)
}
