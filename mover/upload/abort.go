// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// Abort ends the multipart uploads that movers of the run have begun and not completed, and removes
// what the run keeps below its prefix. Objects that are complete stay. It returns how many there were.
// Copies that the movers have asked for are waited for: another run below the prefix goes by their marks.
func Abort(ctx context.Context, r wire.Request, s Setup) (int64, error) {
	x := &export{sender: newSender(s, r), request: r, home: homeOf(r)}
	count, err := x.endUploads(ctx, r)
	if err != nil {
		return count, err
	}
	if err := x.waitForCopies(ctx, x.home.copies(r.Export.Run)); err != nil {
		return count, err
	}
	return count, x.forget(ctx, x.home, r.Export.Run)
}

// end ends the uploads that notes are left of, and forgets the run.
func (s *sender) end(ctx context.Context, r wire.Request) error {
	if _, err := s.endUploads(ctx, r); err != nil {
		return err
	}
	return s.forget(ctx, homeOf(r), r.Export.Run)
}

// endUploads ends the uploads that notes are left of, of files that are gone or small by now.
func (s *sender) endUploads(ctx context.Context, r wire.Request) (int64, error) {
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
	return count, s.endForGood(ctx)
}

const (
	// mostEnds is how often an upload is looked for after it was ended.
	mostEnds = 5
	// settle is how long parts that are on their way may need until then.
	settle = time.Second
)

// endForGood looks for what was ended, and ends it again: S3 documents that parts which were on their
// way then may succeed, and that an upload may have to be ended more than once. Until it is over the
// notes stay.
func (s *sender) endForGood(ctx context.Context) error {
	for range mostEnds {
		ended := s.ended.take()
		if len(ended) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx) //nolint:wrapcheck // Why the mover is to end.
		case <-time.After(settle):
		}
		for key, ids := range ended {
			if err := s.endListed(ctx, key, ids); err != nil {
				return err
			}
		}
	}
	if left := s.ended.take(); len(left) > 0 {
		return fmt.Errorf("S3 still lists uploads of %d keys after each was ended %d times", len(left), mostEnds)
	}
	return nil
}

// endListed ends the uploads of a key that S3 still lists. They are looked for again.
func (s *sender) endListed(ctx context.Context, key string, ids []string) error {
	listed, err := s.uploadsOf(ctx, key)
	if err != nil {
		return err
	}
	for _, u := range listed {
		if slices.Contains(ids, u.UploadID) {
			if err := s.abortUpload(ctx, key, u.UploadID); err != nil {
				return err
			}
		}
	}
	return nil
}

// endings are the uploads, by key, that were ended and not looked for since. The zero value is ready
// for use.
type endings struct {
	mu  sync.Mutex
	ids map[string][]string
}

func (e *endings) add(key, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids == nil {
		e.ids = map[string][]string{}
	}
	e.ids[key] = append(e.ids[key], id)
}

// take returns them, and forgets them.
func (e *endings) take() map[string][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := e.ids
	e.ids = nil
	return ids
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
	s.ended.add(key, id)
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
