// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/story"
)

// A claim may be deleted at any moment; nothing of it stays.
func TestClaimDeleted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		class  string
		source []func(*v1alpha1.S3Source)
		reach  func(*story.Story, *corev1.PersistentVolumeClaim)
	}{
		"without-consumer": {class: story.LateRetain, reach: func(s *story.Story, c *corev1.PersistentVolumeClaim) {
			s.Condition(c.Name, string(v1alpha1.ReasonWaitForFirstConsumer))
		}},
		"failed": {
			class:  story.ImmediateRetain,
			source: []func(*v1alpha1.S3Source){under("absent")},
			reach: func(s *story.Story, c *corev1.PersistentVolumeClaim) {
				s.Condition(c.Name, "SourceEmpty")
			},
		},
		"bound": {
			class: story.ImmediateDelete,
			reach: func(s *story.Story, c *corev1.PersistentVolumeClaim) { s.Bound(c.Name) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			if name == "failed" {
				s.Warnings = []string{"SourceEmpty"}
			}
			bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
			s.Source("source", bucket, test.source...)
			claim := s.Claim(story.Claim{Source: "source", Class: test.class})
			test.reach(s, claim)
			s.Delete(claim)
			s.Gone(claim)
		})
	}
}

// A claim that is deleted while its volume is being made leaves no claim. A class that deletes
// leaves no volume, although the provisioner only then gets to work. A class that retains keeps
// the volume, which carries no record of ours, and an administrator hears of it.
func TestClaimDeletedWhileProvisioning(t *testing.T) {
	t.Parallel()
	// Each in a namespace of its own: a provisioner may ask once more for a claim that is gone, and
	// that call is not to be taken for the next claim's.
	for _, class := range []string{story.ImmediateDelete, story.ImmediateRetain} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			if class == story.ImmediateRetain {
				s.Warnings = []string{string(v1alpha1.ReasonVolumeOrphaned)}
			}
			s.Source("source", s.Bucket(story.MinIO).Put(story.Small("", 4)))
			hold := s.Disturb(fault.Rule{Method: fault.CreateVolume, Count: 1, Hold: true})
			claim := s.Claim(story.Claim{Name: class, Source: "source", Class: class})
			s.Calls(func(n map[string]fault.Count) bool { return n[fault.CreateVolume].Waiting == 1 })
			s.Delete(claim)
			s.Gone(claim)
			s.Undisturb(hold)
			s.Calls(func(n map[string]fault.Count) bool { return n[fault.CreateVolume].Running == 0 })
			if class == story.ImmediateRetain {
				s.ReclaimOrphans(claim)
			}
		})
	}
}

// A claim may be made before its source; it waits, says for what, and goes on by itself.
func TestSourceLate(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonSourceNotFound)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	claim := s.Claim(story.Claim{Source: "source"})
	s.Condition(claim.Name, string(v1alpha1.ReasonSourceNotFound))
	s.Source("source", bucket)
	s.Populated(claim, bucket.Under(""))
}

// What a population began with is enough to end it: source and Secret may go while the
// data comes.
func TestSourceDeletedMidway(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{
		"one.bin": story.Bytes(1, 2*story.MiB), "two.bin": story.Bytes(2, 2*story.MiB),
	})
	source := s.Source("source", bucket, slowed("128Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	s.Mover(claim, "mc")
	s.Delete(source)
	s.Delete(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: source.Spec.Credentials.SecretRef.Name, Namespace: s.Namespace}},
	)
	s.Populated(claim, bucket.Under(""))
}

// A claim that is made again under its name is another claim: it gets a volume and data of
// its own, and nothing of the first one's half-filled volume.
func TestClaimRecreated(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	slow := s.Bucket(story.MinIO).Put(map[string][]byte{"old.bin": story.Bytes(1, 8*story.MiB)})
	quick := s.Bucket(story.MinIO).Put(map[string][]byte{"new.bin": story.Bytes(2, 10*story.KiB)})
	s.Source("slow", slow, slowed("64Ki"))
	s.Source("quick", quick)
	first := s.Claim(story.Claim{Source: "slow"})
	s.Mover(first, "mc")
	s.Delete(first)
	s.Gone(first)
	second := s.Claim(story.Claim{Source: "quick"})
	bound, _ := s.Populated(second, quick.Under(""))
	if bound.UID == first.UID {
		t.Error("it is the same claim")
	}
}

// When the namespace goes, everything goes, in the middle of a transfer too.
func TestNamespaceDeleted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"slow.bin": story.Bytes(1, 8*story.MiB)})
	s.Source("source", bucket, slowed("64Ki"))
	claim := s.Claim(story.Claim{Source: "source", Class: story.ImmediateRetain})
	s.Mover(claim, "mc")
	s.NamespaceGone()
}
