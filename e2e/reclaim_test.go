// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A filled volume has the reclaim policy of its class, whatever it had while it was being
// filled: Retain keeps volume and data when the claim goes.
func TestReclaimPolicy(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
	s.Source("source", bucket)
	var kept *corev1.PersistentVolume
	for _, class := range []string{story.ImmediateRetain, story.ImmediateDelete} {
		want := corev1.PersistentVolumeReclaimDelete
		if class == story.ImmediateRetain {
			want = corev1.PersistentVolumeReclaimRetain
		}
		claim := s.Claim(story.Claim{Name: class, Source: "source", Class: class})
		_, volume := s.Populated(claim, bucket.Under(""))
		if got := volume.Spec.PersistentVolumeReclaimPolicy; got != want {
			t.Errorf("the volume of class %s has policy %s, want %s", class, got, want)
		}
		for _, scratch := range []string{v1alpha1.AnnotationScratchFor, v1alpha1.AnnotationReclaimPolicy} {
			if v, ok := volume.Annotations[scratch]; ok {
				t.Errorf("the volume of class %s still says %s=%s", class, scratch, v)
			}
		}
		s.Delete(claim)
		if want == corev1.PersistentVolumeReclaimRetain {
			s.Released(volume.Name)
			kept = volume
		}
	}
	// The other claim was filled since: whoever would delete what is kept had the time.
	s.Released(kept.Name)
	s.ReadAgain(kept, bucket.Under(""))
}

// A claim that is deleted while it is being filled leaves nothing, even of a class whose
// volumes are retained: half-filled data is nobody's.
func TestAbort(t *testing.T) {
	t.Parallel()
	for _, class := range []string{story.ImmediateDelete, story.ImmediateRetain} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"slow.bin": story.Bytes(1, 8*story.MiB)})
			s.Source("source", bucket, slowed("64Ki"))
			claim := s.Claim(story.Claim{Source: "source", Class: class})
			s.Mover(claim, "mc")
			prime := s.PrimeOf(claim)
			s.Await("the volume to be worth nothing", func() error {
				return s.Volume(prime.Spec.VolumeName, func(v *corev1.PersistentVolume) error {
					if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
						return fmt.Errorf("its policy is %s", v.Spec.PersistentVolumeReclaimPolicy)
					}
					return nil
				})
			})
			s.Delete(claim)
		})
	}
}

// slowed limits the bandwidth of a source, so that there is time to do something to it. It is fetched by mc, a
// process of its own: whether that runs tells that the transfer has begun.
func slowed(perSecond string) func(*v1alpha1.S3Source) {
	return func(s *v1alpha1.S3Source) { s.Spec.Transfer.Bandwidth, s.Spec.Transfer.Engine = perSecond, "MC" }
}
