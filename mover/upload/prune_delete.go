// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"sync"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// fate is what becomes of an object of a run.
type fate string

const (
	goes    fate = "goes"
	wasGone fate = "gone"
	changed fate = "changed"
)

// fateOf is pure. What is there is ours where it is the size and the entity tag that the manifest lists, and not
// younger than the manifest: somebody may have written the same bytes for a purpose of their own.
//
//	there   size and tag   written after the manifest   fate
//	no      -              -                            gone
//	yes     others, none   -                            stays
//	yes     the same       yes, by more than clocks     stays
//	                       differ
//	yes     the same       no                           goes
func (p *prune) fateOf(e manifest.Entry, there bool, o minio.ObjectInfo) fate {
	switch {
	case !there:
		return wasGone
	case e.ETag == "" || o.Size != e.Size || plan.TrimETag(o.ETag) != e.ETag:
		return changed
	case o.LastModified.After(p.complete.Add(skew)):
		return changed
	}
	return goes
}

// deleteAll removes the objects, some at a time. The first error ends it; the next attempt goes on.
func (p *prune) deleteAll(ctx context.Context) error {
	workers := smallWorkers
	if n := p.request.Transfer.Parallelism; n > 0 {
		workers = n
	}
	var mu sync.Mutex // For the result.
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, e := range p.old.Entries {
		if e.Type != manifest.File {
			continue
		}
		p.result.Objects++
		p.result.Bytes += e.Size
		if key := p.home.base + e.Path; p.listed[key] {
			mu.Lock()
			p.result.Listed.add(key, "another export lists it")
			mu.Unlock()
			continue
		}
		if ctx.Err() != nil {
			continue
		}
		group.Go(func() error { return p.deleteOne(ctx, &mu, e, p.there[i] != "") })
	}
	return group.Wait() //nolint:wrapcheck // They are ours.
}

func (p *prune) deleteOne(ctx context.Context, mu *sync.Mutex, e manifest.Entry, there bool) error {
	key := p.home.base + e.Path
	var info minio.ObjectInfo
	if there {
		var err error
		if info, err = p.head(ctx, key); isNoSuchKey(err) {
			there = false
		} else if err != nil {
			return fmt.Errorf("look at %s: %w", plan.Quote(key), err)
		}
	}
	what := p.fateOf(e, there, info)
	if what == goes {
		if err := p.remove(ctx, key); err != nil {
			return err
		}
	}
	mu.Lock()
	defer mu.Unlock()
	switch what {
	case goes:
		p.result.Deleted++
	case wasGone:
		p.result.Gone++
	case changed:
		p.result.Changed.add(key, "was written since")
	}
	return nil
}

func (p *prune) head(ctx context.Context, key string) (info minio.ObjectInfo, err error) {
	err = p.again(ctx, func(ctx context.Context) error {
		info, err = p.S3.StatObject(ctx, p.bucket, key, minio.StatObjectOptions{})
		return err //nolint:wrapcheck // It is classified above.
	})
	return info, err
}
