// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/story"
)

// A claim with a VolumeAttributesClass is bound to a volume with these attributes.
func TestVolumeAttributesClass(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	claim := s.Claim(story.Claim{Source: "source", Attributes: story.Fast})
	bound, volume := s.Populated(claim, bucket.Under(""))
	if got := bound.Status.CurrentVolumeAttributesClassName; got == nil || *got != story.Fast {
		t.Errorf("the claim says that its attributes are %v", got)
	}
	if got := volume.Spec.VolumeAttributesClassName; got == nil || *got != story.Fast {
		t.Errorf("the volume says that its attributes are %v", got)
	}
	stored, err := world.Faults.Volumes(t.Context(), s.Namespace)
	if err != nil || len(stored) != 1 || stored[0].Attributes[driver.AttributeTier] != story.Fast {
		t.Errorf("the driver has %+v (error: %v), want one volume of tier %s", stored, err, story.Fast)
	}
}
