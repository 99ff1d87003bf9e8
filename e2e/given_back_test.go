// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/class"
	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/story"
)

// immediately fills a claim of a class that waits for a pod.
var immediately = map[string]string{v1alpha1.AnnotationBind: v1alpha1.BindImmediate}

// keptVolume is a volume with data, which its class has kept after its claim was deleted.
type keptVolume struct {
	*story.Story
	class  string
	name   string
	before story.Content
}

func keepVolume(s *story.Story) keptVolume {
	s.T.Helper()
	own := class.Storage(
		s.Namespace,
		storagev1.VolumeBindingWaitForFirstConsumer,
		corev1.PersistentVolumeReclaimRetain,
		nil,
	)
	s.Create(own)
	s.T.Cleanup(func() { s.Remove(own) })
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"thesis.tex": []byte("years of work")})
	s.Source("thesis", bucket)
	claim := s.Claim(story.Claim{Name: "earlier", Source: "thesis", Class: own.Name, Annotations: immediately})
	_, volume := s.Populated(claim, bucket.Under(""))
	s.Delete(claim)
	s.Released(volume.Name)
	return keptVolume{Story: s, class: own.Name, name: volume.Name, before: bucket.Under("")}
}

// free makes it available to the next claim, as an administrator does.
func (k keptVolume) free(annotation string) {
	k.T.Helper()
	v := &corev1.PersistentVolume{}
	v.Name = k.name
	story.Update(k.Story, v, func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = nil
		delete(v.Annotations, annotation)
	})
}

// givenBack asserts that the volume is free, as it was, and that no byte of it has changed; then it goes.
func (k keptVolume) givenBack() {
	k.T.Helper()
	k.Await("the volume to be as it was", func() error {
		return k.Volume(k.name, func(v *corev1.PersistentVolume) error {
			if v.Status.Phase != corev1.VolumeAvailable || v.Spec.ClaimRef != nil ||
				v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain ||
				v.Annotations[v1alpha1.AnnotationReleasing] != "" {
				return fmt.Errorf(
					"it is %s, %s, with %v and %v",
					v.Status.Phase,
					v.Spec.PersistentVolumeReclaimPolicy,
					v.Spec.ClaimRef,
					v.Annotations,
				)
			}
			return nil
		})
	})
	claim := k.NewClaim(story.Claim{Name: "again", Class: k.class})
	claim.Spec.VolumeName = k.name
	k.Create(claim)
	k.AssertContent(k.Reader(claim), k.before)
	v := &corev1.PersistentVolume{}
	v.Name = k.name
	story.Update(k.Story, v, func(v *corev1.PersistentVolume) {
		v.Annotations[v1alpha1.AnnotationProvisionedBy] = class.Driver().Name
	})
	k.Reclaim(v)
	k.Delete(claim)
}

// A class that waits for a pod gives a free volume to the first one that fits. The claim does not get what
// is on it, its owner keeps it, and the claim is filled from a new volume.
func TestFreeVolumeIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, annotation := range map[string]string{
		"made by hand": v1alpha1.AnnotationProvisionedBy, "kept by its class": "none",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			s.Warnings = []string{string(v1alpha1.ReasonVolumeCaptured)}
			kept := keepVolume(s)
			kept.free(annotation)
			s.Await("the volume to be free", func() error { return s.VolumePhase(kept.name, corev1.VolumeAvailable) })
			bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
			s.Source("source", bucket)
			claim := s.Claim(story.Claim{Source: "source", Class: kept.class, Annotations: immediately})
			_, volume := s.Populated(claim, bucket.Under(""))
			if volume.Name == kept.name {
				t.Error("the claim got the volume that was kept")
			}
			s.Await("the events of the claim", func() error {
				if told := s.Events(claim); len(told) < 3 {
					return fmt.Errorf("only %q tell of it", told)
				}
				return nil
			})
			kept.givenBack()
			s.Delete(claim)
			s.Released(volume.Name)
			s.Reclaim(volume)
		})
	}
}

// A prime that waits for room in a full pool is given a volume that an administrator frees
// just then. It is given back, and when there is room the claim is filled.
func TestFullPoolGivesBack(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonVolumeCaptured)}
	s.MayWarn = []string{string(v1alpha1.ReasonMoverPending)} // Where the pool is seen to be full for 15 s.
	kept := keepVolume(s)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 8))
	s.Source("source", bucket)
	full := s.Disturb(fault.Rule{Method: fault.CreateVolume, Fail: codes.ResourceExhausted, Message: "the pool is full"})
	claim := s.Claim(story.Claim{Source: "source", Class: kept.class, Annotations: immediately})
	s.Calls(func(calls map[string]fault.Count) bool { return calls[fault.CreateVolume].Failed > 0 })
	kept.free("none")
	s.WaitForEvent(claim, string(v1alpha1.ReasonVolumeCaptured), kept.name)
	s.Undisturb(full)
	_, volume := s.Populated(claim, bucket.Under(""))
	if volume.Name == kept.name {
		t.Error("the claim got the volume that was kept")
	}
	kept.givenBack()
	s.Delete(claim)
	s.Released(volume.Name)
	s.Reclaim(volume)
}

// A claim whose name and labels look like those of a prime is its user's: nothing of ours deletes it.
func TestClaimThatLooksLikeAPrime(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	claim := s.Claim(story.Claim{Name: "s3prime-x", Labels: map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RolePrime, v1alpha1.LabelClaimUID: "x",
	}})
	s.AssertContent(s.Reader(claim), story.Content{})
	s.RestartManager() // A sweep is the first that it does.

	// One more claim shows that the new manager has long begun.
	other := story.Begin(t, world)
	other.Source("source", other.Bucket(story.MinIO).Put(story.Small("", 4)))
	other.Bound(other.Claim(story.Claim{Source: "source"}).Name)
	if err := s.Find(claim); err != nil {
		t.Fatal(err)
	}
	if claim.DeletionTimestamp != nil || claim.Status.Phase != corev1.ClaimBound {
		t.Errorf("the claim is %s, deleted at %v", claim.Status.Phase, claim.DeletionTimestamp)
	}
	s.Delete(claim)
}

// A mover is gone, but its volume is still attached to its node: a process there may go on
// writing, so the next mover waits, and the claim names what it waits for.
func TestNextMoverWaitsForTheDetachment(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"one.bin": story.Bytes(1, 4*story.MiB)})
	s.Source("source", bucket, slowed("128Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	mover := s.Mover(claim, "mc")
	prime := s.PrimeOf(claim)
	attachment := &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: s.Namespace},
		Spec: storagev1.VolumeAttachmentSpec{
			Attacher: class.Driver().Name, NodeName: mover.Spec.NodeName,
			Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new(prime.Spec.VolumeName)},
		},
	}
	s.Create(attachment)
	s.Interrupt(mover)
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonVolumeAttached), attachment.Name)
	s.Remove(attachment)
	s.Populated(claim, bucket.Under(""))
}
