// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"strconv"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// runShard sends the files of one shard, as another attempt would after one that was interrupted before its first
// file: what is there already is compared, whoever has sent it.
func (x *export) runShard(ctx context.Context) error {
	shard, err := strconv.Atoi(x.Shard)
	if err != nil || shard < 0 {
		return fault.New(wire.MoverBroken, "the variable %s holds %q, which is no shard", wire.ShardVariable, x.Shard)
	}
	after, err := x.readShard(ctx, shard)
	if err != nil {
		return x.refused(err)
	}
	done, found, err := x.readPart(ctx, shard, x.scan.Entries)
	if err != nil {
		return x.refused(err)
	}
	if found {
		x.add(done)
		x.result.Whole = true
		x.Log("shard %d is in S3: an earlier mover of this run has sent it", shard)
		return nil
	}
	if err := x.goOn(ctx); err != nil || x.result.Whole {
		return err
	}
	if err := x.listShard(ctx, after); err != nil {
		return x.refused(err)
	}
	return x.sendShard(ctx, shard)
}

// readShard makes the scan of the files of a shard. It returns the path that is listed before its first one.
func (x *export) readShard(ctx context.Context, shard int) (after string, err error) {
	reached := false
	p, err := x.readPlan(ctx, func(e plannedEntry) bool {
		mine := e.Shard == shard && e.Type == manifest.File
		if reached = reached || mine; !reached {
			after = e.Path
		}
		return mine
	})
	if err != nil {
		return after, err
	}
	if shard >= p.Shards {
		return after, fault.New(wire.MoverBroken, "the plan has %d shards, and none with the number %d", p.Shards, shard)
	}
	x.begin, x.scan = p.Begin, new(Scan)
	for _, e := range p.entries {
		x.scan.Entries = append(x.scan.Entries, e.Entry)
	}
	x.countAll()
	x.result.Objects, x.result.Bytes = x.Tally.AllObjects.Load(), x.Tally.AllBytes.Load()
	return after, nil
}

// sendShard sends what is to be sent, and says so when nothing of it is under way any more.
func (x *export) sendShard(ctx context.Context, shard int) error {
	todo, err := x.sort()
	if err != nil {
		return err
	}
	x.enter(wire.Transferring)
	if err := x.sendAll(ctx, todo); err != nil {
		return err
	}
	if err := x.endForGood(ctx); err != nil {
		return x.refused(err)
	}
	if err := x.tellAnswered(ctx); err != nil {
		return x.refused(err)
	}
	return x.refused(x.writePart(ctx, shard))
}

// goOn makes sure that the run has begun, and that no other one has begun or ended below the prefix since.
func (x *export) goOn(ctx context.Context) error {
	if err := x.lookBack(ctx); err != nil {
		return x.refused(err)
	}
	if x.last.isOurs {
		x.completedBefore(ctx)
		return nil
	}
	since, begun, err := x.lookForBegun(ctx)
	if err != nil {
		return x.refused(err)
	}
	if x.last.inWay || !begun {
		return x.disturbed()
	}
	x.policy = policy{onExisting: x.options.OnExisting, resumed: true, since: since, marked: true}
	return x.refused(x.lookForCopies(ctx))
}

// listShard looks at what is below the prefix between the first and the last path of the shard. Where a server
// lists in another order, objects are missed, and their files are sent again.
func (x *export) listShard(ctx context.Context, after string) error {
	p, err := x.newPlanner()
	if err != nil {
		return err
	}
	x.there = new(existing)
	files := x.scan.Entries
	inOrder, last := !plan.IsDirectoryBucket(x.bucket), x.key(files[len(files)-1])
	from := ""
	if inOrder && after != "" {
		from = x.request.Source.Prefix + after
	}
	err = x.eachAfter(ctx, x.request.Source.Prefix, from, func(o minio.ObjectInfo) error {
		if inOrder && o.Key > last {
			return errFound
		}
		if _, ok := find(files, o.Key[len(x.request.Source.Prefix):]); ok {
			p.Add(o.Key, o.Size, o.ETag)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return err
	}
	x.there.plan, err = p.Finish()
	return err //nolint:wrapcheck // It is a failure.
}

// runFinish makes the export of what the shards have left.
func (x *export) runFinish(ctx context.Context) error {
	x.allSent = true // Nothing of this step is there for the next attempt.
	if err := x.goOn(ctx); err != nil || x.result.Whole {
		return err
	}
	p, err := x.readPlan(ctx, func(plannedEntry) bool { return true })
	if err != nil {
		return x.refused(err)
	}
	if x.filter, err = plan.NewFilter(x.request.Source); err != nil {
		return err //nolint:wrapcheck // It is a failure.
	}
	x.begin = p.Begin
	x.result.Special, x.result.Unsafe, x.result.Deleted = p.Special, p.Unsafe, p.Deleted
	x.result.Kept, x.result.Unsettled = p.Kept, p.Unsettled
	if err := x.gather(ctx, p); err != nil {
		return x.refused(err)
	}
	if err := x.listThere(ctx); err != nil {
		return x.refused(err)
	}
	x.there.extra = append(x.there.extra, x.there.blocking...)
	if err := x.sendMoved(ctx); err != nil {
		return err
	}
	x.countGone()
	x.enter(wire.Verifying)
	return x.finish(ctx)
}

// gather makes the scan of the plan and of what became of its files. Each file is one shard's.
func (x *export) gather(ctx context.Context, p planned) error {
	of := make([][]manifest.Entry, p.Shards)
	x.scan = &Scan{Unsettled: p.Unsettled}
	for _, e := range p.entries {
		switch {
		case e.Type != manifest.File:
			x.scan.Entries = append(x.scan.Entries, e.Entry)
		case e.Shard < 0 || e.Shard >= p.Shards:
			return x.noPlan("a file of it is no shard's")
		default:
			of[e.Shard] = append(of[e.Shard], e.Entry)
		}
	}
	for shard, files := range of {
		done, found, err := x.readPart(ctx, shard, files)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(
				wire.VerificationFailed,
				"shard %d of %d has not left what became of its files, or something else has written in its place; it is "+
					"sent again",
				shard,
				p.Shards,
			)
		}
		x.scan.Entries = append(x.scan.Entries, done.Entries...)
		x.gone = append(x.gone, done.Gone...)
		x.add(done)
	}
	sortEntries(x.scan.Entries)
	x.countAll()
	return nil
}
