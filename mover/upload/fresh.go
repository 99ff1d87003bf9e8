// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// mustBeNew tells that S3 is to refuse the object of a file if there is one by now. A run that must not find anything
// replaces what it has put there itself, and nothing else: what was listed may be of an attempt before, or somebody's
// who has written since. Look is for a request that S3 would not refuse, and for a file that was sent before.
func (x *export) mustBeNew(ctx context.Context, e manifest.Entry, look bool) (bool, error) {
	if x.policy.onExisting != wire.Fail {
		return false, nil
	}
	if _, listed := x.there.plan.Find(e.Path); !listed && !look && !x.unconditional.Load() {
		return true, nil
	}
	info, err := asker{x}.Head(ctx, x.key(e), minio.StatObjectOptions{})
	switch {
	case isNoSuchKey(err):
		return true, nil
	case err != nil:
		return false, err
	case !x.isMarked(info):
		return false, existsAlready(x.key(e))
	}
	return false, nil
}

// isMarked tells that an object says to be of this run.
func (s *sender) isMarked(info minio.ObjectInfo) bool {
	return info.Metadata.Get("X-Amz-Meta-"+runMetadata) == s.options.Run
}

// putOnce sends one object with one request. One that is new is not put in the place of another.
func (s *sender) putOnce(
	ctx context.Context,
	key string,
	c content,
	o minio.PutObjectOptions,
	isNew bool,
) (object, error) {
	if isNew && !s.unconditional.Load() {
		guarded := o
		guarded.SetMatchETagExcept("*")
		result, err := s.put(ctx, key, c, guarded)
		switch {
		case fault.Rejected(err, http.StatusPreconditionFailed):
			return s.confirmed(ctx, key, c)
		case !fault.Rejected(err, http.StatusNotImplemented):
			return result, err
		}
		s.unconditional.Store(true)
	}
	return s.put(ctx, key, c, o)
}

// confirmed is for an object that is there although it must not be: the answer to a request of ours may
// have been lost.
func (s *sender) confirmed(ctx context.Context, key string, c content) (object, error) {
	sum, err := c.sum(ctx, true, false)
	if err != nil {
		return object{}, err
	}
	info, err := s.stat(ctx, key, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return object{}, err
	}
	result := object{etag: plan.TrimETag(info.ETag)}
	switch {
	case info.Size != c.size:
	case info.ChecksumCRC64NVME == sum.crc:
		result.checksum = checksumName + sum.crc
		return result, nil
	case result.etag == hex.EncodeToString(sum.md5):
		return result, nil
	}
	return object{}, existsAlready(key)
}

func existsAlready(key string) error {
	return fault.New(wire.ExistsAlready, "object %s is there already; export to another prefix, or set "+
		"spec.onExisting: SkipIdentical or Overwrite", plan.Quote(key))
}
