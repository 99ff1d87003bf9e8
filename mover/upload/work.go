// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/mover/manifest"
)

const (
	// smallWorkers is how many small files are sent at a time; each has one request under way.
	smallWorkers = 16
	// largeWorkers is how many large files are, each with several parts under way.
	largeWorkers = 2
)

// sendAll does what was decided. The first error ends it: what is sent is found by the next attempt.
func (x *export) sendAll(ctx context.Context, todo []work) error {
	var small, large []work
	for _, w := range todo {
		if x.scan.Entries[w.entry].Size >= smallestPart {
			large = append(large, w)
		} else {
			small = append(small, w)
		}
	}
	workers := smallWorkers
	if n := x.request.Transfer.Parallelism; n > 0 {
		workers = n
	}
	largeAtOnce := min(largeWorkers, workers)
	if x.limit != nil {
		largeAtOnce = 1
	}
	var mu sync.Mutex // For the result.
	group, ctx := errgroup.WithContext(ctx)
	for _, pool := range []struct {
		list    []work
		workers int
	}{{small, workers}, {large, largeAtOnce}} {
		group.Go(func() error {
			inner, ctx := errgroup.WithContext(ctx)
			inner.SetLimit(pool.workers)
			for _, w := range pool.list {
				if ctx.Err() != nil {
					break
				}
				inner.Go(func() error { return x.do(ctx, &mu, w) })
			}
			return inner.Wait()
		})
	}
	if err := group.Wait(); err != nil {
		return err //nolint:wrapcheck // They are ours.
	}
	x.dropGone()
	return nil
}

func (x *export) do(ctx context.Context, mu *sync.Mutex, w work) error {
	e := &x.scan.Entries[w.entry]
	o, how, err := x.deliver(ctx, e, w.action)
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case o.gone:
		x.gone = append(x.gone, e.Path)
		e.Type = gone
		return nil
	case how == send:
		x.result.Sent++
		x.Tally.SentObjects.Add(1)
	case how == copyLast:
		x.result.Copied++
	default:
		x.result.Unchanged++
	}
	if o.changed {
		x.result.Changed++
		x.Log("%q changed while it was read, twice; its object may be a mixture", e.Path)
		e.Inode = 0 // The next run reads it, whatever its time says.
	}
	if how != send {
		x.Tally.Bytes.Add(e.Size)
	}
	x.Tally.Objects.Add(1)
	e.ETag, e.Checksum = o.object.etag, o.object.checksum
	return nil
}

// gone marks entries of files that were removed after the scan.
const gone manifest.Type = "gone"

// deliver brings one file to S3 and says by what.
func (x *export) deliver(ctx context.Context, e *manifest.Entry, a action) (outcome, action, error) {
	copied := false
	switch a {
	case compare:
		o, same, err := x.compareFile(ctx, e)
		if err != nil && !isGone(err) {
			return outcome{}, a, err
		}
		if same {
			return outcome{object: o}, a, nil
		}
	case copyLast:
		copied = true // Perhaps, to no use.
		o, ok, err := x.copyFile(ctx, *e)
		if err != nil {
			return outcome{}, a, fmt.Errorf("copy an object: %w", x.refused(err))
		}
		if ok {
			return outcome{object: o}, a, nil
		}
	case send, leave, refuse:
	}
	o, err := x.sendFile(ctx, e, copied)
	return o, send, err
}

// dropGone leaves out files that were removed after the scan.
func (x *export) dropGone() {
	kept := x.scan.Entries[:0]
	for _, e := range x.scan.Entries {
		if e.Type != gone {
			kept = append(kept, e)
		}
	}
	x.scan.Entries = kept
}

// rehearse tells what a run would do. Files are read where an object may be identical.
func (x *export) rehearse(ctx context.Context, todo []work) error {
	for _, w := range todo {
		e := &x.scan.Entries[w.entry]
		same := false
		if w.action == compare {
			var err error
			if _, same, err = x.compareFile(ctx, e); err != nil && !isGone(err) {
				return err
			}
		}
		switch {
		case same:
			x.result.Unchanged++
		case w.action == copyLast:
			x.result.Copied++
		default:
			x.result.Sent++
			x.Tally.SentBytes.Add(e.Size)
		}
	}
	x.result.Deleted = int64(len(x.stillExtra()) + len(x.there.blocking))
	x.result.has(x.scan.Entries)
	return nil
}
