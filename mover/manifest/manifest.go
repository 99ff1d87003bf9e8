// SPDX-License-Identifier: Apache-2.0

// Package manifest is the record that an export leaves below its prefix: what was exported, with
// the attributes that S3 cannot hold. It is written last, so that its presence means that the
// export is complete. The package is pure: it reads and writes streams and knows no S3.
package manifest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Keys below the prefix of an export.
const (
	Key         = wire.JournalDir + "/manifest.json"
	PreviousKey = wire.JournalDir + "/previous.json" // In a shared prefix, the one before, while a run writes.
	PruningKey  = wire.JournalDir + "/pruning.json"  // What was the manifest of a run whose objects are being removed.
)

// SchemaVersion is the one that this package writes, and the only one that it reads.
const SchemaVersion = 1

// Header is what is said once.
type Header struct {
	SchemaVersion int    `json:"schemaVersion"`
	Run           string `json:"run"`   // UID of the S3Export.
	Claim         string `json:"claim"` // UID of the claim.
	// Path is what was exported of the volume, all of it as the empty string. It is nil in a manifest of before there was
	// this, which may be of any path.
	Path *string `json:"path,omitempty"`
	// Created is when the scan began, or a time that the snapshot or clone is not older than which was scanned.
	Created time.Time `json:"created"`
	// Digest is the one that a population of the prefix has: that of the regular files.
	Digest string `json:"digest"`
	// Spared are objects of files that were not found, below the same prefix, and were not deleted because the scan did
	// not settle: path, size and entity tag. They are no part of the export.
	Spared []Entry `json:"spared,omitempty"`
	// Lacks is none in a manifest of before there was this, which may have some.
	Lacks Lacks `json:"lacks,omitzero"`
}

// Lacks counts what a run has left out, and where somebody wrote to the volume meanwhile. The report of its mover may
// be lost, and whether a volume is given up depends on these.
type Lacks struct {
	Changed   int64 `json:"changed,omitempty"`   // Files that changed each time that they were read.
	Gone      int64 `json:"gone,omitempty"`      // Files that were removed or renamed after the scan.
	Unsettled int64 `json:"unsettled,omitempty"` // Directories that changed each time that they were looked at.
	Unsafe    int64 `json:"unsafe,omitempty"`    // Paths that cannot be keys.
	Kept      int64 `json:"kept,omitempty"`      // Directories of the storage that are not empty.
	Special   int64 `json:"special,omitempty"`   // Sockets, FIFOs and devices.
}

// Manifest is a whole record. Entries are sorted bytewise by path.
type Manifest struct {
	Header
	Entries []Entry
}

// Type is what an entry is on a volume.
type Type string

// The types of entries.
const (
	File      Type = "file"
	Directory Type = "directory"
	Link      Type = "link" // Symbolic.
)

// Entry is one file, directory or symbolic link.
type Entry struct {
	// Path is below the exported path, without a slash at its end, and valid UTF-8.
	Path string `json:"path"`
	Type Type   `json:"type"`
	Size int64  `json:"size,omitempty"` // Bytes of a file.
	ETag string `json:"etag,omitempty"` // Of a file's object, without quotes.
	// Checksum is the full-object checksum that S3 confirmed, as ALGORITHM:base64.
	Checksum string `json:"checksum,omitempty"`
	Mode     uint32 `json:"mode"`  // Permission, setuid, setgid and sticky bits, as in chmod(2).
	ModTime  int64  `json:"mtime"` // Nanoseconds since 1970.
	UID      uint32 `json:"uid"`
	GID      uint32 `json:"gid"`
	Target   Bytes  `json:"target,omitempty"` // Of a link.
	Inode    uint64 `json:"inode,omitempty"`
	// ChangeTime is the ctime of a file that was read from a snapshot or a clone, in nanoseconds since 1970: where
	// the storage copies files, numbers of inodes may be the same again, and this one is new.
	ChangeTime int64   `json:"ctime,omitempty"`
	XAttrs     []XAttr `json:"xattrs,omitempty"` // Those whose name begins with "user.", sorted by name.
}

// IsObject tells that an object of this size and entity tag is the one that was exported. Some servers tell no tags.
func (e Entry) IsObject(size int64, etag string) bool {
	return size == e.Size && (etag == e.ETag || etag == "" || e.ETag == "")
}

// XAttr is one extended attribute.
type XAttr struct {
	Name  Bytes  `json:"name"`
	Value []byte `json:"value"`
}

// Find returns the entry of a path.
func (m Manifest) Find(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(m.Entries, path, func(e Entry, path string) int {
		return strings.Compare(e.Path, path)
	})
	if !ok {
		return Entry{}, false
	}
	return m.Entries[i], true
}

// Digest is that of a population of an export with these entries, see plan.Plan.Digest.
func Digest(entries []Entry) (string, error) {
	p, err := plan.NewPlanner(wire.Request{Operation: wire.Populate})
	if err != nil {
		return "", fmt.Errorf("digest of a manifest: %w", err)
	}
	for _, e := range entries {
		if e.Type == File {
			p.Add(e.Path, e.Size, e.ETag)
		}
	}
	all, err := p.Finish()
	if err != nil {
		return "", fmt.Errorf("digest of a manifest: %w", err)
	}
	return all.Digest(), nil
}
