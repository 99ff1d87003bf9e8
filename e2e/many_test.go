// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/s3populator/s3populator/e2e/story"
)

// Two thousand objects of mixed sizes arrive, each as it is.
func TestMany(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Mixed("set/", 2000))
	s.Source("source", bucket, under("set"))
	claim := s.Claim(story.Claim{Source: "source", Size: "128Mi"})
	s.Populated(claim, bucket.Under("set/"))
	if run := s.Import(claim); run.Status.Progress.Objects.Total != 2000 ||
		run.Status.Progress.Bytes.Total != bucket.Total() {
		t.Errorf("the import counts %+v, the bucket holds 2000 objects of %d bytes", run.Status.Progress, bucket.Total())
	}
}
