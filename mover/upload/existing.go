// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// existing is what is in S3 under the keys of files of the scan, and what else is there.
type existing struct {
	plan *plan.Plan // Paths are those of the scan.
	// extra are keys to delete at the end, and blocking those to delete before anything is sent.
	extra, blocking []string
	ours            bool     // The one object says that it is of this run.
	inWay           Examples // Keys that stay, and that no volume can hold beside the files of the scan.
	pathless        Examples // Those of them that are not deleted because nobody knows of which path they are.
}

// asker asks about the keys of an export, as proof wants it.
type asker struct{ x *export }

// Head implements what a proof.Prover asks for.
func (a asker) Head(ctx context.Context, key string, o minio.StatObjectOptions) (info minio.ObjectInfo, err error) {
	if info, err = a.x.stat(ctx, key, o); err != nil {
		return info, fmt.Errorf("head object: %w", err)
	}
	return info, nil
}

// errOtherObject means that an object is not the listed one any more.
var errOtherObject = errors.New("the object was overwritten or deleted")

// Unchanged implements what a proof.Prover asks for.
func (a asker) Unchanged(ctx context.Context, p *plan.Plan, e plan.Entry) (minio.ObjectInfo, error) {
	info, err := a.Head(ctx, e.Key, minio.StatObjectOptions{Checksum: true})
	if isNoSuchKey(err) || err == nil && (info.Size != e.Size || plan.TrimETag(info.ETag) != p.TagText(e.ETag)) {
		return info, errOtherObject
	}
	return info, err
}

// listThere looks at what is below the prefix, or under the one key.
func (x *export) listThere(ctx context.Context) error {
	p, err := x.newPlanner()
	if err != nil {
		return err
	}
	x.there = new(existing)
	if x.options.Key != "" {
		err = x.headThere(ctx, p)
	} else {
		err = x.each(ctx, x.request.Source.Prefix, func(o minio.ObjectInfo) error {
			x.found(p, o)
			return nil
		})
	}
	if err != nil {
		return err
	}
	if n := x.result.Pathless; n > 0 {
		x.Log("%d objects of files that are not there are not deleted: the manifest before does not say of which path", n)
	}
	x.there.plan, err = p.Finish()
	return err //nolint:wrapcheck // It is a failure.
}

// newPlanner makes one for the objects of files, which never clash: they are files beside each other.
func (x *export) newPlanner() (*plan.Planner, error) {
	source := wire.Source{Bucket: x.bucket, Prefix: x.request.Source.Prefix}
	return plan.NewPlanner(wire.Request{Operation: wire.Inventory, Source: source}) //nolint:wrapcheck // It is a failure.
}

func (x *export) headThere(ctx context.Context, p *plan.Planner) error {
	info, err := asker{x}.Head(ctx, x.options.Key, minio.StatObjectOptions{})
	if isNoSuchKey(err) {
		ok, err := x.S3.BucketExists(ctx, x.bucket)
		if err == nil && !ok {
			return x.Faults.Code(minio.NoSuchBucket, "")
		}
		return nil
	}
	if err == nil {
		p.AddAs(wire.Object{Key: x.options.Key, Path: x.scan.Entries[0].Path}, info.Size, info.ETag)
		x.there.ours = x.isMarked(info)
	}
	return err
}

func (x *export) found(p *plan.Planner, o minio.ObjectInfo) {
	path := strings.TrimPrefix(o.Key, x.request.Source.Prefix)
	if strings.HasPrefix(path, wire.JournalDir+"/") {
		return
	}
	if e, ok := (manifest.Manifest{Entries: x.scan.Entries}).Find(path); ok && e.Type == manifest.File {
		p.Add(o.Key, o.Size, o.ETag)
		return
	}
	x.result.Others++
	etag := plan.TrimETag(o.ETag)
	pathless := x.isPathless(path, o.Size, etag)
	if pathless {
		x.result.Pathless++
	}
	extra, inWay := x.isExtra(path, o.Size, etag), x.scan.inWay(path)
	switch {
	case extra && inWay:
		x.there.blocking = append(x.there.blocking, o.Key)
	case extra:
		x.there.extra = append(x.there.extra, o.Key)
	case inWay:
		x.there.inWay.add(o.Key, "in the way")
		if pathless {
			x.there.pathless.add(o.Key, "in the way")
		}
	}
}

// work is a file and what becomes of it.
type work struct {
	entry  int // Of the scan.
	action action
}

// sort decides what becomes of every file. Nothing is sent where one is refused.
func (x *export) sort() ([]work, error) {
	if err := x.refuseInWay(); err != nil {
		return nil, err
	}
	if err := x.refuseBlocking(); err != nil {
		return nil, err
	}
	var todo []work
	var refused Examples
	for i := range x.scan.Entries {
		e := &x.scan.Entries[i]
		if e.Type != manifest.File {
			continue
		}
		w := work{entry: i, action: decide(x.facts(*e), x.policy)}
		switch w.action {
		case refuse:
			refused.add(x.key(*e), "exists")
		case leave:
			x.leave(e)
			continue
		case send, compare, copyLast:
		}
		todo = append(todo, w)
	}
	if refused.Count > 0 {
		return nil, fault.New(wire.ExistsAlready,
			"%d of %d objects are there already: %s; export to another prefix, or set spec.onExisting: SkipIdentical or "+
				"Overwrite",
			refused.Count, x.Tally.AllObjects.Load(), strings.Join(refused.First, ", "))
	}
	return todo, nil
}

// refuseInWay ends a run that would leave what no population could load.
func (x *export) refuseInWay() error {
	if n := x.there.pathless.Count; n > 0 {
		return fault.New(
			wire.ExistsAlready,
			"%d objects below the prefix are in the way of files, directories or links of the volume: %s; spec.deleteExtra "+
				"does not remove them, because the manifest before does not say of which path they are; remove them by hand, or "+
				"export to another prefix",
			n,
			strings.Join(x.there.pathless.First, ", "),
		)
	}
	if n := x.there.inWay.Count; n > 0 {
		return fault.New(
			wire.ExistsAlready,
			"%d objects below the prefix are in the way of files, directories or links of "+
				"the volume: %s; remove them, set spec.deleteExtra if earlier exports have left them, or export to another prefix",
			n,
			strings.Join(x.there.inWay.First, ", "),
		)
	}
	return nil
}

// leave takes an object as it is, as the last manifest lists it.
func (x *export) leave(e *manifest.Entry) {
	before, _ := x.last.here.Find(e.Path)
	e.ETag, e.Checksum = before.ETag, before.Checksum
	x.result.Unchanged++
	x.Tally.Objects.Add(1)
	x.Tally.Bytes.Add(e.Size)
}

func (x *export) facts(e manifest.Entry) facts {
	var f facts
	claim := x.request.Volume.ClaimUID
	x.lasting(&e)
	i, exists := x.there.plan.Find(e.Path)
	before, unchanged := x.last.here.unchanged(e, claim)
	f.exists, f.unchanged = exists, unchanged
	if exists {
		object := x.there.plan.Entries.At(i)
		f.ours = x.there.ours
		f.sameSize = object.Size == e.Size
		f.sameObject = before.ETag != "" && x.there.plan.TagText(object.ETag) == before.ETag
	}
	there, copyable := x.last.there.unchanged(e, claim)
	f.copyable = copyable && there.ETag != ""
	return f
}

// isOlder tells of a run that overwrites that an object was there before it had begun. The times are of
// S3, which tells seconds.
func (x *export) isOlder(ctx context.Context, key string) (bool, error) {
	if x.policy.onExisting != wire.Overwrite {
		return false, nil
	}
	info, err := asker{x}.Head(ctx, key, minio.StatObjectOptions{})
	if isNoSuchKey(err) {
		return true, nil
	}
	return info.LastModified.Before(x.policy.since.Truncate(time.Second)), err
}

// compareFile tells whether the object that is there holds what the file holds. To overwrite is to send
// what is older than the run, whatever it holds: its tags and its encryption may be others.
func (x *export) compareFile(ctx context.Context, e *manifest.Entry) (object, bool, error) {
	i, _ := x.there.plan.Find(e.Path)
	there := x.there.plan.Entries.At(i)
	if older, err := x.isOlder(ctx, there.Key); older || err != nil {
		return object{}, false, err
	}
	f, stat, err := x.tree.open(e.Path)
	if err != nil {
		return object{}, false, x.describe(*e, err)
	}
	defer func() { _ = f.Close() }()
	if stat.Size != there.Size {
		return object{}, false, nil
	}
	prover := proof.Prover{Asker: asker{x}, Plan: x.there.plan, OpaqueTags: plan.IsDirectoryBucket(x.bucket)}
	by, err := prover.Compare(ctx, f, there, prover.ExpectContent)
	if errors.Is(err, fault.ErrDiffers) || errors.Is(err, errOtherObject) || errors.Is(err, io.ErrUnexpectedEOF) {
		return object{}, false, nil
	}
	if err != nil {
		return object{}, false, x.describe(*e, err)
	}
	now, _ := entryOf(e.Path, stat)
	now.XAttrs = e.XAttrs
	*e = now
	result := object{etag: x.there.plan.TagText(there.ETag)}
	if before, ok := x.last.here.Find(e.Path); ok && before.ETag == result.etag && before.Size == e.Size {
		result.checksum = before.Checksum
	}
	return result, by != proof.BySize, nil
}
