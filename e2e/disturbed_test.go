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
	const objects, size = 32, 512 * story.KiB
	data := map[string][]byte{}
	for i := range objects {
		data[fmt.Sprintf("part-%02d.bin", i)] = story.Bytes(uint64(i)+1, size)
	}
	bucket := s.Bucket(story.MinIO).Put(data)
	proxy := s.Proxy(bucket)
	s.Source("source", bucket, through(proxy), slowed("384Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	mover := s.Mover(claim, "mc")
	done := s.Moved(mover, objects*size/3)
	s.Interrupt(mover)
	before := proxy.Fetched()
	s.Populated(claim, bucket.Under(""))
	s.FetchedTheRest(claim, proxy.Fetched()-before, done, objects*size)
}

// A prime that somebody deletes takes its volume along, so population begins again.
func TestPrimeDeleted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{"Interrupted"} // if the mover is seen to end before the prime is seen to go
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"one.bin": story.Bytes(1, 4*story.MiB)})
	s.Source("source", bucket, slowed("128Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	s.Mover(claim, "mc")
	prime := s.PrimeOf(claim)
	s.Delete(prime)
	_, volume := s.Populated(claim, bucket.Under(""))
	if volume.Name == prime.Spec.VolumeName {
		t.Errorf("the claim is bound to %s, whose prime was deleted", volume.Name)
	}
}

// A StatefulSet that grows from none to five fills five volumes at once; one that shrinks and
// grows again keeps what it has. A set that deletes its claims when it shrinks gets another one
// of the same name, and that is filled with what the source holds by then, although the volume of
// the first is still there.
func TestScaled(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
	s.Source("source", bucket)
	set := s.StatefulSet("web", 0, story.Claim{Source: "source", Class: story.LateDelete})
	const replicas = 5
	s.Scale(set, replicas)
	volumes := map[string]string{}
	for i := range replicas {
		claim, volume := s.Bound(fmt.Sprintf("data-web-%d", i))
		s.AssertContent(s.Reader(claim), bucket.Under(""))
		volumes[claim.Name] = volume.Name
	}
	again := s.StatefulSet("again", 1, story.Claim{Source: "source", Class: story.LateRetain}, story.DeletesClaims)
	first, kept := s.Bound("data-again-0")
	before := bucket.Under("")

	s.Shrink(set, 1)
	s.Shrink(again, 0)
	s.Gone(first)
	s.Released(kept.Name)
	bucket.Put(map[string][]byte{"later.bin": story.Bytes(9, 4*story.KiB)})
	s.Scale(again, 1)
	s.Scale(set, replicas)

	for name, volume := range volumes {
		claim, now := s.Bound(name)
		if now.Name != volume {
			t.Errorf("claim %s had volume %s and has %s", name, volume, now.Name)
		}
		s.AssertContent(s.Reader(claim), before)
	}
	second, volume := s.Bound("data-again-0")
	if second.UID == first.UID || volume.Name == kept.Name {
		t.Errorf("claim %s with volume %s is the first one", second.UID, volume.Name)
	}
	s.AssertContent(s.Reader(second), bucket.Under(""))
	s.Scale(again, 0)
	s.Gone(second)
	s.Reclaim(kept)
	s.Reclaim(volume)
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
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"one.bin": story.Bytes(1, 4*story.MiB)})
	s.Source("source", bucket, slowed("128Ki"))
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

// A manager that is restarted finds everything as it should be, and writes nothing. It is not parallel: it restarts the
// manager.
func TestRestartAtRest(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	s.Ready(s.Get("source"), metav1.ConditionTrue, "")
	claim, _ := s.Bound(s.Claim(story.Claim{Source: "source"}).Name)
	s.Import(claim)
	s.Claim(story.Claim{Name: "waiting", Source: "source", Class: story.LateDelete})
	s.Condition("waiting", string(v1alpha1.ReasonWaitForFirstConsumer))
	s.InventoryGone()
	before := s.RestartManager()

	// One more claim shows that the new manager has looked at all of them.
	other := story.Begin(t, world)
	other.Source("source", other.Bucket(story.MinIO).Put(story.Small("", 4)))
	other.Bound(other.Claim(story.Claim{Source: "source"}).Name)
	s.UntouchedButBy(before)
}
