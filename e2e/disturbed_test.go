// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A mover that is evicted is followed by another, which goes on where it was.
func TestMoverEvicted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"Interrupted"}
	data := map[string][]byte{}
	for i := range 16 {
		data[fmt.Sprintf("part-%02d.bin", i)] = story.Bytes(uint64(i)+1, 512*story.KiB)
	}
	bucket := s.Bucket(story.MinIO).Put(data)
	s.Source("source", bucket, slowed("2Mi"))
	claim := s.Claim(story.Claim{Source: "source"})
	s.Evict(s.Mover(claim, "mc"))
	s.Populated(claim, bucket.Under(""))
}

// A prime that somebody deletes takes its volume along, so population begins again.
func TestPrimeDeleted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"Interrupted"}
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"one.bin": story.Bytes(1, 4*story.MiB)})
	s.Source("source", bucket, slowed("1Mi"))
	claim := s.Claim(story.Claim{Source: "source"})
	s.Mover(claim, "mc")
	prime := s.PrimeOf(claim)
	s.Delete(prime)
	_, volume := s.Populated(claim, bucket.Under(""))
	if volume.Name == prime.Spec.VolumeName {
		t.Errorf("the claim is bound to %s, whose prime was deleted", volume.Name)
	}
}

// A StatefulSet that grows from none to five fills five volumes at once; one that shrinks
// and grows again keeps what it has.
func TestScaled(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
	s.Source("source", bucket)
	set := s.StatefulSet("web", 0, story.Claim{Source: "source", Class: story.LateDelete})
	const replicas = 5
	s.Scale(set, replicas)
	for i := range replicas {
		claim, _ := s.Bound(fmt.Sprintf("data-web-%d", i))
		s.AssertContent(s.Reader(claim), bucket.Under(""))
	}
}

// A generic ephemeral volume is filled like any other, and goes with its pod.
func TestEphemeralVolume(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 8))
	s.Source("source", bucket)
	spec := story.PodSpec("", false, false, "sha256", "/data")
	spec.Volumes[0].VolumeSource = corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
		VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
			Spec: story.Claim{Source: "source", Class: story.LateDelete}.Spec(),
		},
	}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "batch", Namespace: s.Namespace}, Spec: spec}
	s.Create(pod)
	claim, _ := s.Bound("batch-data")
	s.AssertContent(pod, bucket.Under("")) // and deletes the pod
	s.Gone(claim)
}

// A volume whose attributes class was changed under way would never be bound; the claim
// says so instead of waiting in silence, and goes on when it is put right.
func TestAttributesChangedMidway(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonRebindBlocked)}
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"one.bin": story.Bytes(1, 3*story.MiB)})
	s.Source("source", bucket, slowed("512Ki"))
	claim := s.Claim(story.Claim{Source: "source", Attributes: story.Fast})
	s.Mover(claim, "mc")
	prime := s.PrimeOf(claim)
	set := func(class string) {
		story.Update(s, prime, func(p *corev1.PersistentVolumeClaim) { p.Spec.VolumeAttributesClassName = new(class) })
	}
	set(story.Standard)
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonRebindBlocked), "volumeAttributesClassName")
	set(story.Fast)
	s.Recovered(claim.Name)
	s.AssertContent(s.Reader(claim), bucket.Under(""))
}

// A manager that is restarted finds everything as it should be, and writes nothing.
func TestRestartAtRest(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	s.Ready(s.Get("source"), metav1.ConditionTrue, "")
	s.Bound(s.Claim(story.Claim{Source: "source"}).Name)
	s.Claim(story.Claim{Name: "waiting", Source: "source", Class: story.LateDelete})
	s.Condition("waiting", string(v1alpha1.ReasonWaitForFirstConsumer))
	s.InventoryGone()
	began := s.RestartManager()

	// One more claim shows that the new manager has looked at all of them.
	other := story.Begin(t, world)
	other.Source("source", other.Bucket(story.MinIO).Put(story.Small("", 4)))
	other.Bound(other.Claim(story.Claim{Source: "source"}).Name)
	s.UntouchedSince(began)
}
