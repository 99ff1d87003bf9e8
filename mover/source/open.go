// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Open asks for exactly the object that was listed, by its entity tag.
func (c *Client) Open(ctx context.Context, p *plan.Plan, e plan.Entry, from int64) (io.ReadCloser, error) {
	var o minio.GetObjectOptions
	c.Complete(e.Key, &o)
	var err error
	if tag := p.TagText(e.ETag); tag != "" { // Some gateways list none.
		err = o.SetMatchETag(tag)
	}
	if from > 0 {
		err = errors.Join(err, o.SetRange(from, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("get object: %w", err)
	}
	body, info, _, err := minio.Core{Client: c.S3}.GetObject(ctx, c.request.Source.Bucket, e.Key, o)
	switch {
	case isNoSuchKey(err), fault.Rejected(err, http.StatusPreconditionFailed):
		return nil, fault.New(wire.SourceChanged,
			"object %s was overwritten or deleted while the volume was loaded", plan.Quote(e.Key)).Because(err)
	case err != nil:
		return nil, fmt.Errorf("get object: %w", err)
	}
	if info.Size != e.Size-from { // The next object would begin in the wrong place.
		_ = body.Close()
		return nil, fmt.Errorf("%w: S3 sends %d bytes of %s, want %d",
			fault.ErrDiffers, info.Size, plan.Quote(e.Key), e.Size-from)
	}
	if asked := c.Version(e.Key); !sameVersion(asked, info.VersionID) {
		_ = body.Close()
		return nil, c.OtherVersion(e.Key, asked)
	}
	return body, nil
}
