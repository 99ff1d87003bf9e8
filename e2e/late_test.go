// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// With a class that waits for the first consumer, nothing happens until a pod is there;
// then that very pod finds the full volume.
func TestWaitForFirstConsumer(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 12))
	s.Source("source", bucket)
	waiting := s.Claim(story.Claim{Name: "waiting", Source: "source", Class: story.LateDelete})
	claim := s.Claim(story.Claim{Source: "source", Class: story.LateDelete})
	reader := s.Reader(claim)
	s.AssertContent(reader, bucket.Under(""))
	s.Bound(claim.Name)
	s.Condition(waiting.Name, string(v1alpha1.ReasonWaitForFirstConsumer))
	s.NeverMade(waiting)
}

// The annotation bind: Immediate fills such a claim before anyone uses it.
func TestBindImmediate(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 12))
	s.Source("source", bucket)
	claim := s.Claim(story.Claim{
		Source: "source", Class: story.LateDelete,
		Annotations: map[string]string{v1alpha1.AnnotationBind: v1alpha1.BindImmediate},
	})
	s.Populated(claim, bucket.Under(""))
}
