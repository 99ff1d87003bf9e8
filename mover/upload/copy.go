// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// largestCopy in bytes is what S3 copies with one request. Larger files are sent.
const largestCopy = 5 << 30

// copyObject has S3 copy the object of a file from the last complete run. False means that it cannot,
// or that the copy is not proven to be the same; the file is sent then.
//
//nolint:gocyclo // What each answer of S3 means.
func (x *export) copyObject(ctx context.Context, before manifest.Entry, key string) (object, bool, error) {
	to := minio.CopyDestOptions{
		Bucket: x.bucket, Object: key, Encryption: x.encryption(),
		ReplaceTags: len(x.options.Tags) > 0, UserTags: x.options.Tags,
	}
	if !x.byMD5.Load() {
		to.ChecksumType = minio.ChecksumCRC64NVME
	}
	if c := x.options.StorageClass; c != "" {
		to.ReplaceMetadata, to.UserMetadata = true, map[string]string{"X-Amz-Storage-Class": c}
		to.ContentType = "application/octet-stream"
	}
	from := minio.CopySrcOptions{Bucket: x.bucket, Object: x.options.CopyFrom + before.Path, MatchETag: before.ETag}
	var info minio.UploadInfo
	err := x.again(ctx, func(ctx context.Context) error {
		var err error
		info, err = x.S3.CopyObject(ctx, to, from)
		return err //nolint:wrapcheck // It is classified above.
	})
	switch {
	case isNoSuchKey(err),
		fault.Rejected(err, http.StatusPreconditionFailed),
		fault.Rejected(err, http.StatusNotImplemented):
		return object{}, false, nil
	case err != nil:
		return object{}, false, err
	}
	result := object{etag: plan.TrimETag(info.ETag)}
	sum, known := strings.CutPrefix(before.Checksum, checksumName)
	if known && info.ChecksumCRC64NVME == sum {
		result.checksum = before.Checksum
	}
	if result.checksum != "" || result.etag == before.ETag || !known {
		return result, result.checksum != "" || result.etag == before.ETag, nil
	}
	// A copy of parts has another entity tag. Some servers tell its checksum only when asked.
	head, err := asker{x}.Head(ctx, key, minio.StatObjectOptions{Checksum: true})
	if err != nil || plan.TrimETag(head.ETag) != result.etag || head.ChecksumCRC64NVME != sum {
		return object{}, false, err
	}
	result.checksum = before.Checksum
	return result, true, nil
}
