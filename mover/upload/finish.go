// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// finish removes what is to be removed, proves by a listing that everything is in S3 under its key as
// it was confirmed, and writes the manifest last.
func (x *export) finish(ctx context.Context) error {
	x.allSent = true
	if err := x.refuseEmpty(ctx); err != nil { // By now.
		return x.refused(err)
	}
	if err := x.alone(ctx); err != nil {
		return x.refused(err)
	}
	if err := x.delete(ctx, x.stillExtra()); err != nil {
		return x.refused(err)
	}
	if err := x.prove(ctx); err != nil {
		return x.refused(err)
	}
	x.result.has(x.scan.Entries)
	if x.options.Key != "" {
		return x.finishKey(ctx)
	}
	for i := range x.scan.Entries {
		x.lasting(&x.scan.Entries[i])
	}
	m := manifest.Manifest{
		Header: manifest.Header{
			SchemaVersion: manifest.SchemaVersion, Run: x.options.Run, Claim: x.request.Volume.ClaimUID,
			Path: new(x.request.Volume.TargetPath), Created: x.contentTime().UTC(), Spared: x.spared,
			Lacks: x.result.lacks(),
		},
		Entries: x.scan.Entries,
	}
	var err error
	if m.Digest, err = manifest.Digest(m.Entries); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	x.result.Digest = m.Digest
	if err := x.alone(ctx); err != nil {
		return x.refused(err)
	}
	if err := x.writeManifest(ctx, m); err != nil {
		return x.refused(err)
	}
	if err := x.proveAgain(ctx); err != nil { // The next attempt looks at what is there.
		return x.refused(err)
	}
	x.tidy(ctx)
	return nil
}

// prove looks at every object once more, when nothing of an attempt before may come over it any more.
func (x *export) prove(ctx context.Context) error {
	x.endLate(ctx)
	if err := x.outlastCopies(ctx); err != nil {
		return err
	}
	return x.confirm(ctx)
}

// proveAgain is for copies that were asked for when the manifest was not there yet, and the others had been waited for.
func (x *export) proveAgain(ctx context.Context) error {
	known := len(x.copies.ended)
	if err := x.outlastCopies(ctx); err != nil || len(x.copies.ended) == known {
		return err
	}
	return x.confirm(ctx)
}

// endLate ends what an attempt before has left of uploads, before the proof: one whose end S3 gave no answer to may
// still become an object, in the place of that of a file that is small by now.
func (x *export) endLate(ctx context.Context) {
	if !x.policy.resumed {
		return
	}
	if _, err := x.endUploads(ctx, x.request); err != nil { // It is tried again at the end, and told then.
		x.Log("what is left of uploads could not be ended: %v", err)
	}
}

// finishKey is for one object, beside which nothing is left.
func (x *export) finishKey(ctx context.Context) error {
	e := x.scan.Entries[0]
	p, err := plan.NewPlanner(wire.Request{Operation: wire.Populate})
	if err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	p.AddAs(wire.Object{Key: x.options.Key}, e.Size, e.ETag)
	all, err := p.Finish()
	if err == nil { // Else no population can have the key.
		x.result.Digest = all.Digest()
	}
	x.tidy(ctx)
	return nil
}

func (x *export) writeManifest(ctx context.Context, m manifest.Manifest) error {
	var text bytes.Buffer
	if err := m.Write(&text); err != nil {
		return err //nolint:wrapcheck // It says what failed.
	}
	if err := m.Check(); err != nil { // Nobody could read it.
		return fmt.Errorf("write manifest: %w", err)
	}
	err := x.keep(ctx, x.home.key(manifest.Key), text.Bytes(), true)
	if notUnderstood(err) { // As by a server that refuses what it does not know.
		err = x.keep(ctx, x.home.key(manifest.Key), text.Bytes(), false)
	}
	if fault.ReasonOf(err) == wire.ExistsAlready { // It came after the last look for one.
		return x.disturbed().Because(err)
	}
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// keep writes something of ours that may be large. One that is new is not put in the place of another, nor can it be
// by a request that arrives late.
func (x *export) keep(ctx context.Context, key string, text []byte, isNew bool) error {
	c := content{from: bytes.NewReader(text), size: int64(len(text))}
	if c.size < smallestPart {
		_, err := x.putOnce(ctx, key, c, x.ownOptions(), isNew)
		return err
	}
	n := note{Key: key, Size: c.size, isNew: isNew}
	_, err := x.multipart(ctx, x.home.note(x.options.Run, key), n, c, x.ownOptions(), func() error { return nil })
	return err
}

// tidy removes what was kept for attempts of this run. The export is complete by now, whether or not
// these keys may remove anything.
func (x *export) tidy(ctx context.Context) {
	var err error
	if x.options.Key == "" {
		err = x.remove(ctx, x.home.key(manifest.PreviousKey))
	}
	if err := errors.Join(err, x.end(ctx, x.request)); err != nil {
		x.result.Untidy = true
		x.Log("what the run kept below %s could not be removed: %v", plan.Quote(x.home.runPrefix(x.options.Run)), err)
	}
}

// confirm looks at every object once more, by one listing.
func (x *export) confirm(ctx context.Context) error {
	seen := make([]bool, len(x.scan.Entries))
	var inWay Examples
	if x.options.Key != "" {
		info, err := asker{x}.Head(ctx, x.options.Key, minio.StatObjectOptions{})
		if err != nil && !isNoSuchKey(err) {
			return err
		}
		if err == nil && len(seen) > 0 {
			seen[0] = x.isAsSent(0, info)
		}
		return x.missing(seen, inWay)
	}
	x.result.Others = 0
	err := x.each(ctx, x.request.Source.Prefix, func(o minio.ObjectInfo) error {
		path := strings.TrimPrefix(o.Key, x.request.Source.Prefix)
		if strings.HasPrefix(path, wire.JournalDir+"/") {
			return nil
		}
		if i, ok := find(x.scan.Entries, path); ok && x.scan.Entries[i].Type == manifest.File {
			seen[i] = x.isAsSent(i, o)
			return nil
		}
		x.result.Others++
		if x.scan.inWay(path) {
			inWay.add(o.Key, "in the way of another")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.missing(seen, inWay)
}

// isAsSent compares what S3 has under the key of an entry with what it confirmed.
func (x *export) isAsSent(i int, o minio.ObjectInfo) bool {
	e, etag := &x.scan.Entries[i], plan.TrimETag(o.ETag)
	same := e.IsObject(o.Size, etag)
	if e.ETag == "" {
		e.ETag = etag
	}
	return same
}

func (x *export) missing(seen []bool, wrong Examples) error {
	for i, e := range x.scan.Entries {
		if e.Type == manifest.File && !seen[i] {
			wrong.add(x.key(e), "missing or another one")
		}
	}
	if len(x.scan.Entries) == 0 && x.options.Key != "" {
		return fault.New(wire.FileChanged, "the file was removed while it was exported")
	}
	if wrong.Count > 0 {
		return fault.New(
			wire.VerificationFailed,
			"%d objects are not in S3 as they were sent: %s; does something else write there?",
			wrong.Count,
			strings.Join(wrong.First, ", "),
		)
	}
	return nil
}
