// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// Abort ends the multipart uploads that movers of the run have begun and not completed, and removes
// what the run keeps below its prefix. Objects that are complete stay. It returns how many there were.
func Abort(ctx context.Context, r wire.Request, s Setup) (int64, error) {
	return newSender(s, r).end(ctx, r)
}

// end ends the uploads that notes are left of, of files that are gone or small by now, and forgets the run.
func (s *sender) end(ctx context.Context, r wire.Request) (int64, error) {
	home := homeOf(r)
	var keys []string
	err := s.each(ctx, home.uploads(r.Export.Run), func(o minio.ObjectInfo) error {
		keys = append(keys, o.Key)
		return nil
	})
	if err != nil {
		return 0, err
	}
	count := int64(0)
	for _, key := range keys {
		var n note
		since, found, err := s.getJSON(ctx, key, &n)
		if err != nil {
			return count, err
		}
		// A note is about a key of this export: others may write below the prefix, too.
		if found && home.note(r.Export.Run, n.Key) == key && home.holds(r, n.Key) {
			if err := s.abort(ctx, n, since); err != nil {
				return count, err
			}
			count++
		}
	}
	return count, s.forget(ctx, home, r.Export.Run)
}

// holds tells that a key is one of the export's.
func (h home) holds(r wire.Request, key string) bool {
	if r.Export.Key != "" {
		return key == r.Export.Key
	}
	return strings.HasPrefix(key, h.base)
}

// abort ends the upload of a note, and those that may have been begun without one that names them.
func (s *sender) abort(ctx context.Context, n note, since time.Time) error {
	if n.UploadID != "" {
		if err := s.abortUpload(ctx, n.Key, n.UploadID); err != nil {
			return err
		}
	}
	if unnamed := n.unnamedSince(since); unnamed != nil {
		return s.abortUnnamed(ctx, n, *unnamed)
	}
	return nil
}

// abortUnnamed ends what was begun for the key of a note since a note without an UploadID was written:
// that is right before an upload is begun, so it is of this run.
func (s *sender) abortUnnamed(ctx context.Context, n note, since time.Time) error {
	begun, err := s.uploadsOf(ctx, n.Key)
	if err != nil {
		return err
	}
	for _, u := range begun {
		if u.Initiated.Before(since.Truncate(time.Second)) { // Some servers tell no more than seconds.
			continue
		}
		if err := s.abortUpload(ctx, n.Key, u.UploadID); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) abortUpload(ctx context.Context, key, id string) error {
	err := s.again(ctx, func(ctx context.Context) error {
		return s.core.AbortMultipartUpload(ctx, s.bucket, key, id)
	})
	if err != nil && !isNoSuchUpload(err) && !isNoSuchKey(err) {
		return fmt.Errorf("abort an upload: %w", err)
	}
	return nil
}

// uploadsOf lists the uploads of exactly one key.
func (s *sender) uploadsOf(ctx context.Context, key string) ([]minio.ObjectMultipartInfo, error) {
	var list []minio.ObjectMultipartInfo
	keyMarker, idMarker := "", ""
	for more := true; more; {
		err := s.again(ctx, func(ctx context.Context) error {
			page, err := s.core.ListMultipartUploads(ctx, s.bucket, key, keyMarker, idMarker, "", 1000)
			if err != nil {
				return err //nolint:wrapcheck // It is classified above.
			}
			for _, u := range page.Uploads {
				if u.Key == key {
					list = append(list, u)
				}
			}
			more = page.IsTruncated && (page.NextKeyMarker != keyMarker || page.NextUploadIDMarker != idMarker)
			keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
	}
	return list, nil
}
