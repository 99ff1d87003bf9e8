// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// PayerHeader accepts the costs of a request to a bucket that is Requester Pays. It has to be
// signed, which mc's --custom-header is not: AWS refuses that.
const PayerHeader = "x-amz-request-payer"

// Payer is the value of PayerHeader.
const Payer = "requester"

// Head asks for one object's metadata.
func (c *Client) Head(ctx context.Context, key string, o minio.StatObjectOptions) (minio.ObjectInfo, error) {
	c.Complete(key, &o)
	info, err := c.S3.StatObject(ctx, c.request.Source.Bucket, key, o)
	if err != nil {
		return info, fmt.Errorf("head object: %w", err)
	}
	return info, nil
}

// isNoSuchKey reports whether S3 said that there is no such object. A HEAD has
// no body, so a missing bucket looks the same.
func isNoSuchKey(err error) bool {
	var response minio.ErrorResponse
	return errors.As(err, &response) && (response.Code == minio.NoSuchKey ||
		response.StatusCode == http.StatusNotFound && response.Code != minio.NoSuchBucket)
}

// Unchanged looks an object up and compares it with the listing. An object
// that is another one by now, or gone, is no fault of the transfer.
func (c *Client) Unchanged(ctx context.Context, p *plan.Plan, e plan.Entry) (minio.ObjectInfo, error) {
	o := minio.StatObjectOptions{Checksum: true}
	info, err := c.Head(ctx, e.Key, o)
	switch {
	case isNoSuchKey(err):
		return info, fault.New(wire.SourceChanged,
			"object %s was deleted while the volume was loaded", plan.Quote(e.Key)).Because(err)
	case fault.Rejected(err, http.StatusBadRequest), fault.Rejected(err, http.StatusNotImplemented):
		// A server that does not know checksums.
		info, err = c.Head(ctx, e.Key, minio.StatObjectOptions{})
	}
	if err != nil {
		return info, err
	}
	if info.Size != e.Size || plan.TrimETag(info.ETag) != p.TagText(e.ETag) {
		return info, fault.New(wire.SourceChanged, "object %s was overwritten while the volume was loaded", plan.Quote(e.Key))
	}
	return info, nil
}

// Version of a key that was asked for; empty is the current one.
func (c *Client) Version(key string) string {
	for _, o := range c.request.Source.Objects { // At most 1000, and read once per request.
		if o.Key == key {
			return o.VersionID
		}
	}
	return ""
}

// sameVersion tells whether S3 answered about the version that was asked for. A server that
// knows no versions ignores the wish; "null" is the name of the one it has.
func sameVersion(asked, answered string) bool {
	return asked == "" || asked == answered || asked == "null" && answered == ""
}

// Complete adds to a request what every one about this key has.
func (c *Client) Complete(key string, o *minio.GetObjectOptions) {
	o.VersionID = c.Version(key)
	if c.request.Source.RequestPayer {
		o.Set(PayerHeader, Payer)
	}
}

// OtherVersion is for servers that answer about the current version whichever is asked for.
func (c *Client) OtherVersion(key, asked string) error {
	return fault.New(
		wire.RequestRejected,
		"%s does not give version %q of object %s but another one: it may keep no versions; "+
			"remove versionId from spec.objects",
		c.faults.Where(),
		asked,
		plan.Quote(key),
	)
}
