// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// stepAside moves the manifest of the run before out of the way, if it is the one that was read: from the
// first write on, what is below the prefix is no complete export any more.
func (x *export) stepAside(ctx context.Context) error {
	if !x.last.inWay {
		return x.alone(ctx)
	}
	from, to := x.home.key(manifest.Key), x.home.key(manifest.PreviousKey)
	err := x.again(ctx, func(ctx context.Context) error {
		_, err := x.S3.CopyObject(ctx, minio.CopyDestOptions{Bucket: x.bucket, Object: to, Encryption: x.encryption()},
			minio.CopySrcOptions{Bucket: x.bucket, Object: from, MatchETag: x.last.tag})
		return err //nolint:wrapcheck // It is classified above.
	})
	if isNoSuchKey(err) || fault.Rejected(err, http.StatusPreconditionFailed) {
		return x.disturbed().Because(err)
	}
	if err != nil {
		return fmt.Errorf("keep the last manifest: %w", err)
	}
	if err := x.remove(ctx, from); err != nil {
		return err
	}
	x.last.aside = true
	return nil
}

// alone fails where another run has ended below the prefix since this one has looked: its manifest says
// that what it has exported is complete.
func (x *export) alone(ctx context.Context) error {
	if x.options.Key != "" {
		return nil
	}
	_, err := asker{x}.Head(ctx, x.home.key(manifest.Key), minio.StatObjectOptions{})
	if isNoSuchKey(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return x.disturbed()
}

func (x *export) disturbed() *fault.Failure {
	return fault.New(
		wire.VerificationFailed,
		"another export has begun or ended below prefix %s while this one was under way; the next attempt begins with what "+
			"it left; give each claim a prefix of its own, and let one export begin when the one before has ended",
		plan.Quote(x.home.base),
	)
}
