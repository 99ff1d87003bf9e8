// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// note is what a run keeps in S3 of each of its multipart uploads for as long as it is not complete:
// nothing that S3 lists of an upload says whose it is. It is written once before the upload is begun,
// without UploadID, and once after.
type note struct {
	Key      string `json:"key"`
	UploadID string `json:"uploadID,omitempty"`
	PartSize int64  `json:"partSize"` // Of all parts but the last, in bytes.
	// The file, as it was when the upload was begun.
	Inode   uint64 `json:"inode"`
	Size    int64  `json:"size"`
	ModTime int64  `json:"mtime"`
	// Volume is the UID of the temporary claim that it was on: on another one it may be another file.
	Volume string `json:"volume,omitempty"`
	MD5    bool   `json:"md5,omitempty"` // Parts are sent with an MD5 instead of a CRC64NVME.
	// CopyOf is the key of the object that S3 copies its parts from, CopyTag its entity tag; empty where they are sent.
	CopyOf  string `json:"copyOf,omitempty"`
	CopyTag string `json:"copyTag,omitempty"`

	// Unnamed is since when, by the clock of S3, an attempt may have begun an upload of the key that no note
	// names. S3 may see to what a mover asks for when that is gone already.
	Unnamed *time.Time `json:"unnamed,omitempty"`

	isNew bool // Of this attempt: S3 is to refuse the object if there is one.
}

// sameFile tells that both notes are of the same file and would be sent in the same parts.
func (n note) sameFile(other note) bool {
	n.UploadID, n.MD5, other.UploadID, other.MD5 = "", false, "", false
	n.isNew, other.isNew, n.Unnamed, other.Unnamed = false, false, nil, nil
	return n == other
}

// unnamedSince is since when an upload may have been begun that this note, which S3 has since then, does not
// name; nil for none.
func (n note) unnamedSince(since time.Time) *time.Time {
	if n.Unnamed != nil || n.UploadID != "" {
		return n.Unnamed
	}
	return &since
}

// home is where a run keeps what is its own: below the prefix, or beside the one key.
type home struct{ base string }

func homeOf(r wire.Request) home {
	base := r.Source.Prefix
	if key := r.Export.Key; key != "" {
		base = key[:strings.LastIndexByte(key, '/')+1]
	}
	return home{base}
}

func (h home) key(name string) string { return h.base + name }

// runPrefix is that of everything that goes when the run ends.
func (h home) runPrefix(run string) string { return h.runs() + run + "/" }

// begun is the key of the mark that the run has begun to write.
func (h home) begun(run string) string { return h.runPrefix(run) + "begun.json" }

func (h home) uploads(run string) string { return h.runPrefix(run) + "uploads/" }

func (h home) note(run, key string) string {
	sum := sha256.Sum256([]byte(key))
	return h.uploads(run) + hex.EncodeToString(sum[:16]) + ".json"
}

// putJSON keeps something of ours.
func (s *sender) putJSON(ctx context.Context, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path.Base(key), err)
	}
	_, err = s.put(ctx, key, content{from: bytes.NewReader(text), size: int64(len(text))}, s.ownOptions())
	return err
}

// getJSON reads it; false means that there is none. Since is when S3 stored it.
func (s *sender) getJSON(ctx context.Context, key string, into any) (since time.Time, found bool, err error) {
	since, _, found, err = s.getDated(ctx, key, into)
	return since, found, err
}

// getDated is getJSON with when S3 has answered, by a clock of its own; zero where it does not say.
func (s *sender) getDated(
	ctx context.Context,
	key string,
	into any,
) (since, now time.Time, found bool, err error) {
	const most = 64 << 10 // A key, escaped.
	var text []byte
	err = s.again(ctx, func(ctx context.Context) error {
		answer, info, header, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err //nolint:wrapcheck // It is classified above.
		}
		defer func() { _ = answer.Close() }()
		since = info.LastModified
		now, _ = http.ParseTime(header.Get("Date"))
		text, err = io.ReadAll(io.LimitReader(answer, most))
		return err //nolint:wrapcheck // It is classified above.
	})
	if isNoSuchKey(err) {
		return since, now, false, nil
	}
	if err != nil {
		return since, now, false, fmt.Errorf("read %s: %w", path.Base(key), err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return since, now, false, nil //nolint:nilerr // It is none of ours.
	}
	return since, now, true, nil
}

func (s *sender) remove(ctx context.Context, key string) error {
	err := s.again(ctx, func(ctx context.Context) error {
		return s.S3.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	})
	if err != nil && !isNoSuchKey(err) {
		return fmt.Errorf("remove object: %w", err)
	}
	return nil
}

// each lists keys below a prefix.
func (s *sender) each(ctx context.Context, prefix string, visit func(minio.ObjectInfo) error) error {
	return s.eachAfter(ctx, prefix, "", visit)
}

// eachAfter lists those that come after a key; all where it is empty.
func (s *sender) eachAfter(ctx context.Context, prefix, after string, visit func(minio.ObjectInfo) error) error {
	o := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, StartAfter: after}
	s.pays(&o)
	for o := range s.S3.ListObjectsIter(ctx, s.bucket, o) {
		if o.Err != nil {
			return fmt.Errorf("list objects: %w", o.Err)
		}
		if err := visit(o); err != nil {
			return err
		}
	}
	if ctx.Err() != nil { // The iterator may end without a word.
		return fmt.Errorf("list objects: %w", context.Cause(ctx))
	}
	return nil
}

// forget removes everything that the run keeps.
func (s *sender) forget(ctx context.Context, h home, run string) error {
	var keys []string
	err := s.each(ctx, h.runPrefix(run), func(o minio.ObjectInfo) error {
		keys = append(keys, o.Key)
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := s.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
