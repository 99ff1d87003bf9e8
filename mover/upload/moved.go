// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// sendMoved looks where files are that are not under their names any more: one that was renamed was on the
// volume all along. So was what may be missing of a scan that did not settle. A volume on which that never ends is
// taken as it is.
func (x *export) sendMoved(ctx context.Context) error {
	const rounds = 3
	known := 0
	for round := 1; round <= rounds && (len(x.gone) > known || round == 1 && x.scan.Unsettled > 0); round++ {
		known = len(x.gone)
		todo, err := x.scanAgain(ctx)
		if err != nil {
			return err
		}
		if err := x.sendAll(ctx, todo); err != nil {
			return err
		}
	}
	return nil
}

// scanAgain adds what is on the volume by now, and returns the files that are to be sent.
func (x *export) scanAgain(ctx context.Context) ([]work, error) {
	now, err := x.tree.Scan(ctx, x.request.Source.Prefix, x.filter)
	if err == nil {
		err = x.refuseScan(now)
	}
	if err != nil {
		return nil, err
	}
	before := x.scan
	x.scan = before.with(now)
	var todo []work
	for i, e := range x.scan.Entries {
		if _, known := find(before.Entries, e.Path); known || e.Type != manifest.File {
			continue
		}
		if err := x.refuseExisting(ctx, e); err != nil {
			return nil, err
		}
		todo = append(todo, work{entry: i, action: send})
		x.Tally.AllObjects.Add(1)
		x.Tally.AllBytes.Add(e.Size)
	}
	x.Log("%d files are not under their names any more; %d others are there by now", len(x.gone), len(todo))
	return todo, nil
}

// refuseExisting is for a file that was not under its name when S3 was listed.
func (x *export) refuseExisting(ctx context.Context, e manifest.Entry) error {
	if x.policy.onExisting != wire.Fail {
		return nil
	}
	_, err := asker{x}.Head(ctx, x.key(e), minio.StatObjectOptions{})
	switch {
	case isNoSuchKey(err):
		return nil
	case err != nil:
		return fmt.Errorf("send %s: %w", plan.Quote(e.Path), err)
	}
	return existsAlready(x.key(e))
}

// with is a scan of the files that were sent, and of whatever a later one has found besides. What no
// volume can hold beside a file that was sent is left out.
func (s *Scan) with(now *Scan) *Scan {
	isFile := func(e manifest.Entry) bool { return e.Type == manifest.File }
	sent, parents := new(Scan), parentsOf(s.Entries, isFile)
	for _, e := range s.Entries {
		if isFile(e) || parents[e.Path] {
			sent.Entries = append(sent.Entries, e)
		}
	}
	both := *now
	both.Entries = nil
	for _, e := range now.Entries {
		i, ok := find(sent.Entries, e.Path)
		switch {
		case ok && e.Type == manifest.Directory && sent.Entries[i].Type == manifest.Directory:
			sent.Entries[i] = e
		case !ok && !sent.inWay(e.Path):
			both.Entries = append(both.Entries, e)
		}
	}
	both.Entries = append(both.Entries, sent.Entries...)
	sortEntries(both.Entries)
	return &both
}

// countGone counts the files that have no name any more, and has their objects deleted where that is asked
// for: the next run does not know them.
func (x *export) countGone() {
	x.result.Gone = 0
	for _, path := range x.gone {
		if i, ok := find(x.scan.Entries, path); ok && x.scan.Entries[i].Type == manifest.File {
			continue
		}
		x.result.Gone++
		i, ok := x.there.plan.Find(path)
		if !ok {
			continue
		}
		if o := x.there.plan.Entries.At(i); x.isExtra(path, o.Size, x.there.plan.TagText(o.ETag)) {
			x.there.extra = append(x.there.extra, o.Key)
		}
	}
	x.gone = nil
}
