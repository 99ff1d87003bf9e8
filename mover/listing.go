// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// listing is what the source has, and who asks it about its objects afterwards.
type listing struct {
	request  wire.Request
	faults   fault.Classifier
	source   *source.Client
	uploads  upload.Setup // To read the manifest of an export.
	progress *progress
	log      *logger
	start    time.Time

	plan   *plan.Plan    // Once it was listed.
	prover *proof.Prover // Likewise.
}

// list makes the plan and applies the policies that need no volume. Planned is shown every entry as it
// is listed, before it is known whether it stays; nil for nobody.
func (l *listing) list(ctx context.Context, planned func(plan.Entry)) error {
	l.progress.enter(wire.Listing)
	p, err := l.source.Plan(ctx, l.progress.listed, planned)
	if err != nil {
		return err
	}
	l.plan, l.prover = p, proverOf(l.request, l.source, p)
	l.log.printf("listed %d objects, %d bytes, in %.1f s", p.Entries.Len(), p.Bytes, time.Since(l.start).Seconds())
	return l.confirmRun(ctx)
}

// proverOf says how the objects of a plan are recognised. The entity tags of a directory bucket are no digests.
func proverOf(r wire.Request, s *source.Client, p *plan.Plan) *proof.Prover {
	return &proof.Prover{
		Asker:      s,
		Plan:       p,
		SizeOnly:   sizeOnly(r),
		OpaqueTags: plan.IsDirectoryBucket(r.Source.Bucket),
	}
}

// sizeOnly tells that spec.transfer.verify asks for no more than sizes.
func sizeOnly(r wire.Request) bool { return r.Transfer.Verify == proof.VerifySize }

// refuseEmpty applies spec.onEmpty.
func (l *listing) refuseEmpty(ctx context.Context) error {
	if l.plan.Entries.Len() > 0 || l.request.Policy.OnEmpty == wire.Allow {
		return nil
	}
	s := l.request.Source
	hint := ""
	if s.PrefixMode != plan.LiteralPrefix && s.Prefix != "" && len(s.Objects) == 0 {
		if _, err := l.source.Head(ctx, s.Prefix, minio.StatObjectOptions{}); err == nil {
			hint = fmt.Sprintf(" there is an object with exactly the key %s: name it in spec.objects;", plan.Quote(s.Prefix))
		}
	}
	return fault.New(
		wire.SourceEmpty,
		"nothing is selected below prefix %s of bucket %q;%s correct spec.prefix, spec.include and "+
			"spec.exclude, or set spec.onEmpty: Allow",
		plan.Quote(plan.ListPrefix(s)),
		s.Bucket,
		hint,
	)
}

// task is what an engine is told of an entry of the plan.
func (l *listing) task(i int) engine.Task {
	e := l.plan.Entries.At(i)
	return engine.Task{
		Index: i, Key: e.Key, Version: l.source.Version(e.Key), Path: e.Path,
		ETag: l.plan.TagText(e.ETag), Size: e.Size,
	}
}

// confirm looks at the source again for the objects whose content could
// not be compared: an object that kept its entity tag was read as listed.
func (l *listing) confirm(ctx context.Context, verified *ledger.Ledger) error {
	left := verified.VerifiedBy(proof.BySize)
	if len(left) == 0 || !l.plan.Mirrorable {
		return nil // Streams were confirmed one by one.
	}
	seen := make([]bool, l.plan.Entries.Len())
	err := l.source.Each(ctx, func(key string, size int64, tag string) {
		i, ok := l.plan.Find(strings.TrimPrefix(key, l.plan.Base))
		if ok && size == l.plan.Entries.Size(i) && plan.TrimETag(tag) == l.plan.TagText(l.plan.Entries.At(i).ETag) {
			seen[i] = true
		}
	}, l.progress.listed)
	if err != nil {
		return err
	}
	for _, i := range left {
		if !seen[i] {
			return fault.New(
				wire.SourceChanged,
				"object %s was overwritten or deleted while the volume was loaded",
				plan.Quote(l.plan.Entries.At(i).Key),
			)
		}
	}
	return nil
}
