// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// lost are the files of a manifest that one listing does not have below a prefix as they were exported.
func (s *sender) lost(ctx context.Context, prefix string, m manifest.Manifest) (Examples, error) {
	seen := make([]bool, len(m.Entries))
	err := s.each(ctx, prefix, func(o minio.ObjectInfo) error {
		if i, ok := find(m.Entries, strings.TrimPrefix(o.Key, prefix)); ok {
			e, etag := m.Entries[i], plan.TrimETag(o.ETag)
			seen[i] = e.IsObject(o.Size, etag)
		}
		return nil
	})
	var lost Examples
	for i, e := range m.Entries {
		if err == nil && e.Type == manifest.File && !seen[i] {
			lost.add(prefix+e.Path, "missing or another one")
		}
	}
	return lost, err
}

// isComplete tells that this run is complete, whoever has written its manifest. That may be a mover that was taken for
// ended, as where its node was lost, while a later one had S3 copy: what that has asked for is waited for first.
func (x *export) isComplete(ctx context.Context, m manifest.Manifest) (bool, error) {
	if x.options.Step != wire.StepShard { // Pods of other shards may copy. Who completes the run waits for all.
		var err error
		if _, x.policy.resumed, err = x.lookForBegun(ctx); err != nil {
			return false, err
		}
		if err := x.outlastCopies(ctx); err != nil {
			return false, err
		}
	}
	return x.isWhole(ctx, m)
}

// isWhole tells that everything is there that a manifest of this run lists. One that an attempt had sent before it was
// given up may arrive when the next one has overwritten or removed what it lists: it tells of no complete export.
func (x *export) isWhole(ctx context.Context, m manifest.Manifest) (bool, error) {
	lost, err := x.lost(ctx, x.home.base, m)
	if err == nil && lost.Count > 0 {
		x.Log("%d objects are not as the manifest of this run lists them: %s; it is one of an earlier attempt, or they were "+
			"written since, and the export goes on", lost.Count, strings.Join(lost.First, ", "))
	}
	return err == nil && lost.Count == 0, err
}
