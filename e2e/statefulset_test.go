// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/s3populator/s3populator/e2e/story"
)

// Every replica of a StatefulSet gets a full volume of its own from one source.
func TestStatefulSet(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 12))
	s.Source("source", bucket)
	const replicas = 3
	s.StatefulSet("web", replicas, story.Claim{Source: "source", Class: story.LateDelete})
	volumes := map[string]bool{}
	for i := range replicas {
		claim, _ := s.Bound(fmt.Sprintf("data-web-%d", i))
		volumes[claim.Spec.VolumeName] = true
		s.AssertContent(s.Reader(claim), bucket.Under(""))
	}
	if len(volumes) != replicas {
		t.Errorf("%d replicas share %d volumes", replicas, len(volumes))
	}
}
