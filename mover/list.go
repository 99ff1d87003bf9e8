// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// makePlan reads the source and decides what becomes of every object.
func (m *mover) makePlan(ctx context.Context) (*plan.Plan, error) {
	p, err := plan.NewPlanner(m.request)
	if err != nil {
		return nil, err
	}
	if len(m.request.Source.Objects) > 0 {
		err = m.statObjects(ctx, p)
	} else {
		err = m.listObjects(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	return p.Finish()
}

func (m *mover) listObjects(ctx context.Context, p *plan.Planner) error {
	source := m.request.Source
	options := minio.ListObjectsOptions{Prefix: plan.ListPrefix(source), Recursive: true}
	if source.RequestPayer {
		options.Set(payerHeader, payer)
	}
	for o := range m.s3.ListObjectsIter(ctx, source.Bucket, options) {
		if o.Err != nil {
			return fmt.Errorf("list objects: %w", o.Err)
		}
		p.Add(o.Key, o.Size, o.ETag)
		m.progress.listed(1)
	}
	if ctx.Err() != nil { // The iterator may end without a word.
		return fmt.Errorf("list objects: %w", context.Cause(ctx))
	}
	return nil
}

// statWorkers bounds the HEAD requests in flight. They are latency bound; 16
// stay far below what any S3 server allows one client.
const statWorkers = 16

// statObjects looks up the explicitly named objects, a few at a time. The plan
// is filled in the order of the request whatever answers first.
func (m *mover) statObjects(ctx context.Context, p *plan.Planner) error {
	wanted := m.request.Source.Objects
	found := make([]minio.ObjectInfo, len(wanted))
	failed := make([]error, len(wanted))
	parallel(statWorkers, len(wanted), func(i int) {
		found[i], failed[i] = m.head(ctx, wanted[i].Key, minio.StatObjectOptions{})
		m.progress.listed(1)
	})
	var missing []string
	for i, err := range failed {
		switch {
		case isNoSuchKey(err),
			wanted[i].VersionID != "" && (rejected(err, http.StatusBadRequest) || rejected(err, http.StatusMethodNotAllowed)):
			missing = append(missing, named(wanted[i])) // No version, no possible name of one, or the mark of a deletion.
		case err != nil:
			return fmt.Errorf("look up %s: %w", plan.Quote(wanted[i].Key), err)
		case !sameVersion(wanted[i].VersionID, found[i].VersionID):
			return m.otherVersion(wanted[i].Key, wanted[i].VersionID)
		default:
			p.AddAs(wanted[i], found[i].Size, found[i].ETag)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	bucket := m.request.Source.Bucket
	if ok, err := m.s3.BucketExists(ctx, bucket); err == nil && !ok {
		return m.faults.Code(minio.NoSuchBucket, "")
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

// head asks for one object's metadata.
func (m *mover) head(ctx context.Context, key string, o minio.StatObjectOptions) (minio.ObjectInfo, error) {
	m.complete(key, &o)
	info, err := m.s3.StatObject(ctx, m.request.Source.Bucket, key, o)
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

// parallel runs work for 0..n-1 on a bounded number of goroutines and waits.
func parallel(workers, n int, work func(i int)) {
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

// confirmSource looks at the source again for the objects whose content could
// not be compared: an object that kept its entity tag was read as listed.
func (t *transfer) confirmSource(ctx context.Context) error {
	left := t.ledger.sizeOnly()
	if len(left) == 0 {
		return nil
	}
	if !t.plan.Mirrorable {
		return nil // Streams were confirmed one by one.
	}
	seen := make(map[int]bool, len(left))
	p, err := plan.NewPlanner(t.request)
	if err != nil {
		return err
	}
	if err := t.listObjects(ctx, p); err != nil {
		return err
	}
	for _, e := range p.Entries {
		if i, ok := t.plan.Find(e.Path); ok && p.TagText(e.ETag) == t.plan.TagText(t.plan.Entries[i].ETag) &&
			e.Size == t.plan.Entries[i].Size {
			seen[i] = true
		}
	}
	for _, i := range left {
		if !seen[i] {
			return fault.New(
				wire.SourceChanged,
				"object %s was overwritten or deleted while the volume was loaded",
				plan.Quote(t.plan.Entries[i].Key),
			)
		}
	}
	return nil
}
