// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Plan reads the source and decides what becomes of every object. Planned is shown every entry in the order
// of the listing, before the whole is looked at; nil for nobody.
func (c *Client) Plan(
	ctx context.Context,
	listed func(objects int64),
	planned func(plan.Entry),
) (*plan.Plan, error) {
	if _, err := c.Identities.Get(ctx); err != nil {
		return nil, err // Said better here than from inside the client.
	}
	p, err := plan.NewPlanner(c.request)
	if err != nil {
		return nil, err
	}
	p.Planned = planned
	if len(c.request.Source.Objects) > 0 {
		err = c.statObjects(ctx, p, listed)
	} else {
		err = c.Each(ctx, p.Add, listed)
	}
	if err != nil {
		return nil, err
	}
	if err := c.LookUpRegion(ctx); err != nil {
		c.Region = c.request.Source.Region
	}
	return p.Finish()
}

// LookUpRegion finds out the region of the bucket. Once anything was listed, the client has asked for it
// already, if it had to, to sign its requests.
func (c *Client) LookUpRegion(ctx context.Context) error {
	region, err := c.S3.GetBucketLocation(ctx, c.request.Source.Bucket)
	if err != nil {
		return fmt.Errorf("look up the region of the bucket: %w", err)
	}
	c.Region = region
	return nil
}

// Each lists the source, page by page; listed is told how many objects came so far.
func (c *Client) Each(
	ctx context.Context,
	add func(key string, size int64, etag string),
	listed func(objects int64),
) error {
	source := c.request.Source
	options := minio.ListObjectsOptions{Prefix: plan.ListPrefix(source), Recursive: true}
	var keys cycle
	if source.RequestPayer {
		options.Set(PayerHeader, Payer)
	}
	for o := range c.S3.ListObjectsIter(ctx, source.Bucket, options) {
		if o.Err != nil {
			return fmt.Errorf("list objects: %w", o.Err)
		}
		if !strings.HasPrefix(o.Key, options.Prefix) {
			return foreign(c.faults.Where(), o.Key, options.Prefix)
		}
		if keys.closed(o.Key) {
			return repeated(c.faults.Where())
		}
		add(o.Key, o.Size, o.ETag)
		listed(1)
	}
	if ctx.Err() != nil { // The iterator may end without a word.
		return fmt.Errorf("list objects: %w", context.Cause(ctx))
	}
	return nil
}

// foreign is for a server that ignores the prefix: what it lists is not what was asked for.
func foreign(where, key, prefix string) error {
	return fault.New(
		wire.TransferFailed,
		"%s lists the key %s, and the prefix %s was asked for; this is a fault of the server",
		where,
		plan.Quote(key),
		plan.Quote(prefix),
	)
}

// StatWorkers bounds the HEAD requests in flight. They are latency bound; 16
// stay far below what any S3 server allows one client.
const StatWorkers = 16

// statObjects looks up the explicitly named objects, a few at a time. The plan
// is filled in the order of the request whatever answers first.
func (c *Client) statObjects(ctx context.Context, p *plan.Planner, listed func(objects int64)) error {
	wanted := c.request.Source.Objects
	found := make([]minio.ObjectInfo, len(wanted))
	failed := make([]error, len(wanted))
	Parallel(StatWorkers, len(wanted), func(i int) {
		found[i], failed[i] = c.Head(ctx, wanted[i].Key, minio.StatObjectOptions{})
		listed(1)
	})
	var missing []string
	for i, err := range failed {
		switch {
		case isNoSuchKey(err),
			wanted[i].VersionID != "" && fault.Rejected(err, http.StatusBadRequest),
			wanted[i].VersionID != "" && fault.Rejected(err, http.StatusMethodNotAllowed):
			missing = append(missing, named(wanted[i])) // No version, no possible name of one, or the mark of a deletion.
		case err != nil:
			return fmt.Errorf("look up %s: %w", plan.Quote(wanted[i].Key), err)
		case !sameVersion(wanted[i].VersionID, found[i].VersionID):
			return c.OtherVersion(wanted[i].Key, wanted[i].VersionID)
		default:
			p.AddAs(wanted[i], found[i].Size, found[i].ETag)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	bucket := c.request.Source.Bucket
	if ok, err := c.S3.BucketExists(ctx, bucket); err == nil && !ok {
		return c.faults.Code(minio.NoSuchBucket, "")
	}
	return noSuchObjects(bucket, missing)
}

func named(o wire.Object) string {
	if o.VersionID == "" {
		return plan.Quote(o.Key)
	}
	return plan.Quote(o.Key) + " in version " + plan.Quote(o.VersionID)
}

func noSuchObjects(bucket string, missing []string) error {
	const most = 5 // In a message; the count is given anyway.
	names := strings.Join(missing[:min(most, len(missing))], ", ")
	if len(missing) > most {
		names += ", ..."
	}
	return fault.New(wire.NoSuchObject, "bucket %q has no object %s (%d missing); correct spec.objects or upload them",
		bucket, names, len(missing))
}

// Parallel runs work for 0..n-1 on a bounded number of goroutines and waits.
func Parallel(workers, n int, work func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
