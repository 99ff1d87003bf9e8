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

// Check refuses a manifest that no export leaves: it comes from a bucket, where others may write.
func (m Manifest) Check() error {
	parents := map[string]bool{} // Paths that nothing may be below.
	for i, e := range m.Entries {
		if i > 0 && m.Entries[i-1].Path >= e.Path {
			return fmt.Errorf("entry %s is not after the one before", plan.Quote(e.Path))
		}
		if problem := e.problem(); problem != "" {
			return fmt.Errorf("entry %s: %s", plan.Quote(e.Path), problem)
		}
		for at, c := range []byte(e.Path) {
			if c == '/' && parents[e.Path[:at]] {
				return fmt.Errorf("entry %s is below a file or link", plan.Quote(e.Path))
			}
		}
		if e.Type != Directory {
			parents[e.Path] = true
		}
	}
	digest, err := Digest(m.Entries)
	if err != nil {
		return err
	}
	if digest != m.Digest {
		return fmt.Errorf("its digest is %s, that of its entries %s", plan.Quote(m.Digest), digest)
	}
	return nil
}

func (e Entry) problem() string {
	switch {
	case e.Path == "":
		return "it has no path"
	case plan.CheckTarget(e.Path) != "":
		return plan.CheckTarget(e.Path)
	case !slices.Contains([]Type{File, Directory, Link}, e.Type):
		return "unknown type " + plan.Quote(string(e.Type))
	case e.Size < 0 || e.Type != File && e.Size != 0:
		return "its size is impossible"
	case e.Type != Link && e.Target != "":
		return "it has a target and is no link"
	case e.Type == Link && !e.Target.isTarget():
		return "its target is impossible"
	}
	return e.attributeProblem()
}

func (e Entry) attributeProblem() string {
	const bits = 0o7777
	if e.Mode&^bits != 0 {
		return "its mode has bits that are no permissions"
	}
	for _, x := range e.XAttrs {
		if !strings.HasPrefix(string(x.Name), "user.") {
			return "it has an attribute that is not of the user"
		}
	}
	return ""
}

// isTarget reports whether a link can hold the text.
func (b Bytes) isTarget() bool { return b != "" && strings.IndexByte(string(b), 0) < 0 }
