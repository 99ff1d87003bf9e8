// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"

	"github.com/minio/minio-go/v7"
)

// stat asks S3 about an object, and for its checksum where o says so and the server is not known to refuse that.
func (s *sender) stat(ctx context.Context, key string, o minio.StatObjectOptions) (info minio.ObjectInfo, err error) {
	o.Checksum = o.Checksum && !s.noChecksums.Load()
	s.pays(&o)
	err = s.again(ctx, func(ctx context.Context) error {
		info, err = s.S3.StatObject(ctx, s.bucket, key, o)
		if !o.Checksum || !notUnderstood(err) {
			return err //nolint:wrapcheck // It is classified above.
		}
		plain := o
		plain.Checksum = false
		answer, plainErr := s.S3.StatObject(ctx, s.bucket, key, plain)
		if plainErr != nil && !isNoSuchKey(plainErr) {
			return err //nolint:wrapcheck // As above: it was not for the checksum.
		}
		s.noChecksums.Store(true)
		info = answer
		return plainErr //nolint:wrapcheck // As above.
	})
	return info, err
}
