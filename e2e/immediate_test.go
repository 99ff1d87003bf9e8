// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A claim that names a source comes up Bound and full, from either S3 server.
func TestImmediate(t *testing.T) {
	t.Parallel()
	for _, server := range []story.Server{story.MinIO, story.VersityGW} {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			bucket := s.Bucket(server).Put(story.Small("set/", 20)).Put(map[string][]byte{
				"set2/no": []byte("not ours"),
				"setting": []byte("not ours"),
			})
			s.Source("source", bucket, under("set"))
			claim := s.Claim(story.Claim{Source: "source"})
			_, volume := s.Populated(claim, bucket.Under("set/"))
			if got := volume.Annotations[v1alpha1.AnnotationPopulatedFrom]; got != s.Namespace+"/source" {
				t.Errorf("the volume says that it is from %q", got)
			}
			s.Await("the events of the claim", func() error { // The last is written after the claim is Bound.
				want := []string{"PopulationStarted", "PopulationSucceeded"}
				if d := cmp.Diff(want, s.Events(claim)); d != "" {
					return fmt.Errorf("(-want +got):\n%s", d)
				}
				return nil
			})
			run := s.Import(claim)
			if run.Status.Phase != v1alpha1.ImportSucceeded || run.Status.Progress.Percent != 100 ||
				run.Status.Progress.Objects.Done != 20 ||
				run.Status.Attempts != 1 {
				t.Errorf("the import ended as %+v", run.Status)
			}
			source := s.Ready(s.Get("source"), "True", string(v1alpha1.ReasonInventoryTaken))
			if i := source.Status.Inventory; i.Objects != 20 || i.Digest != run.Status.ManifestDigest ||
				i.Digest != volume.Annotations[v1alpha1.AnnotationManifestDigest] {
				t.Errorf(
					"the inventory is %+v; the import has digest %s, the volume %s",
					i,
					run.Status.ManifestDigest,
					volume.Annotations[v1alpha1.AnnotationManifestDigest],
				)
			}
		})
	}
}

// under selects a prefix.
func under(prefix string) func(*v1alpha1.S3Source) {
	return func(s *v1alpha1.S3Source) { s.Spec.Prefix = prefix }
}
