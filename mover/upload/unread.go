// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// giveBackUnread puts a manifest back that cannot be read, where nothing was written below the prefix since it was
// moved aside. Nobody can look up what it lists, but all of that is there as it was: a run that cannot read the
// manifest before deletes nothing. It says what is left where that is not so.
func (x *export) giveBackUnread(ctx context.Context) (string, error) {
	from, to := x.home.key(manifest.PreviousKey), x.home.key(manifest.Key)
	moved, err := asker{x}.Head(ctx, from, minio.StatObjectOptions{})
	if err != nil {
		return "", err
	}
	written, err := x.writtenSince(ctx, moved.LastModified.Add(-skew)) // Servers of one S3 have clocks of their own.
	if err != nil {
		return "", err
	}
	if written != "" {
		return fmt.Sprintf(", but moved there when this run began, and %s may have been written since, so that it was not "+
			"moved back to %s: nobody can tell whether all that it lists is there", plan.Quote(written), plan.Quote(to)), nil
	}
	if err := x.alone(ctx); err != nil {
		return "", err
	}
	err = x.again(ctx, func(ctx context.Context) error {
		_, err := x.S3.CopyObject(ctx, minio.CopyDestOptions{Bucket: x.bucket, Object: to, Encryption: x.encryption()},
			minio.CopySrcOptions{Bucket: x.bucket, Object: from, MatchETag: moved.ETag})
		return err //nolint:wrapcheck // It is classified by the caller.
	})
	if err != nil {
		return "", fmt.Errorf("put the last manifest back: %w", err)
	}
	x.last.aside = false
	x.Log("the manifest of the export before, which cannot be read, is in its place again")
	return "", x.remove(ctx, from)
}

// mostLooked is how many objects writtenSince asks for, one after the other: some minutes.
const mostLooked = 10_000

// writtenSince is the first key below the prefix of which nobody can tell that it was written before a time; empty for
// none. Each is asked for by itself, because listings are read without times, and few prefixes are looked at so.
func (x *export) writtenSince(ctx context.Context, since time.Time) (key string, err error) {
	looked := 0
	err = x.each(ctx, x.home.base, func(o minio.ObjectInfo) error {
		if strings.HasPrefix(o.Key, x.home.key(wire.JournalDir+"/")) {
			return nil
		}
		looked++
		if looked > mostLooked {
			key = o.Key
			return errFound
		}
		info, err := asker{x}.Head(ctx, o.Key, minio.StatObjectOptions{})
		switch {
		case err != nil && !isNoSuchKey(err):
			return err
		case err != nil, info.LastModified.IsZero(), !info.LastModified.Before(since):
			key = o.Key
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return key, err
}
