// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/e2e/story"
)

// A claim of every access mode is filled and of use, also one that nobody could write to.
func TestAccessModes(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 8))
	s.Source("source", bucket)
	modes := map[string]corev1.PersistentVolumeAccessMode{
		"rwo": corev1.ReadWriteOnce, "rwx": corev1.ReadWriteMany, "rox": corev1.ReadOnlyMany, "rwop": corev1.ReadWriteOncePod,
	}
	claims := map[string]*corev1.PersistentVolumeClaim{}
	for name, mode := range modes {
		claims[name] = s.Claim(story.Claim{Name: name, Source: "source", Mode: mode})
	}
	for name, mode := range modes {
		bound, volume := s.Populated(claims[name], bucket.Under(""))
		if !slices.Contains(volume.Spec.AccessModes, mode) {
			t.Errorf("claim %s is bound to a volume with modes %v", name, volume.Spec.AccessModes)
		}
		if want := []corev1.PersistentVolumeAccessMode{mode}; !slices.Equal(bound.Spec.AccessModes, want) {
			t.Errorf("claim %s has modes %v", name, bound.Spec.AccessModes)
		}
	}
}
