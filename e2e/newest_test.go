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
	"github.com/s3populator/s3populator/mover/wire"
)

// A mover that fits no node is placed anew when its source is corrected.
func TestPlacementCorrected(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonMoverPending)}
	s.MayWarn = []string{string(v1alpha1.ReasonInventoryPending)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	source := s.Source(
		"source",
		bucket,
		func(o *v1alpha1.S3Source) { o.Spec.Mover.NodeSelector = map[string]string{"no-such": "node"} },
	)
	claim := s.Claim(story.Claim{Source: "source"})
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonMoverPending), "node")
	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Mover.NodeSelector = nil })
	s.Populated(claim, bucket.Under(""))
}

// many objects of which a slow mover needs a while.
func slowObjects(prefix string, seed uint64) map[string][]byte {
	data := map[string][]byte{}
	for i := range 16 {
		data[fmt.Sprintf("%spart-%02d.bin", prefix, i)] = story.Bytes(seed+uint64(i), 512*story.KiB)
	}
	return data
}

// A prefix that is corrected while a mover fills the volume with the wrong one: the claim
// is bound to exactly what the source selects now.
func TestPrefixCorrected(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(slowObjects("wrong/", 1)).Put(slowObjects("right/", 8))
	source := s.Source("source", bucket, slowed("256Ki"), under("wrong"))
	claim := s.Claim(story.Claim{Source: "source"})
	mover := s.Mover(claim, "mc")
	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Prefix, o.Spec.Transfer.Bandwidth = "right/", "" })
	s.WaitForEvent(claim, string(v1alpha1.ReasonRequestChanged), "verified data that still applies is kept")
	s.Gone(mover)
	s.Populated(claim, bucket.Under("right/"))
}

// A bumped retry token ends the mover that runs and starts another one.
func TestRetryWhileRunning(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(slowObjects("", 1))
	s.Source("source", bucket, slowed("256Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	mover := s.Mover(claim, "mc")
	story.Update(s, claim, func(c *corev1.PersistentVolumeClaim) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRetry: "1"}
	})
	s.Gone(mover)
	s.Populated(claim, bucket.Under(""))
	if run := s.Import(claim); run.Status.Attempts != 2 {
		t.Errorf("it took %d movers, want 2", run.Status.Attempts)
	}
}

// What no mover depends on ends none.
func TestSelectorChangedWhileRunning(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(slowObjects("", 1))
	source := s.Source("source", bucket, slowed("256Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	s.Filling(claim)
	story.Update(s, source, func(o *v1alpha1.S3Source) {
		o.Spec.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
		o.Spec.Sizing.OveragePercent = new(int32(50))
		o.Spec.Mover.NodeSelector = map[string]string{"kubernetes.io/os": "linux"}
	})
	s.Populated(claim, bucket.Under(""))
	if run := s.Import(claim); run.Status.Attempts != 1 {
		t.Errorf("it took %d movers, want 1", run.Status.Attempts)
	}
}

// A volume that is too small although the inventory was right, because its file system
// takes room too, is made anew with what the mover needs. The claim's own request stays.
func TestGrowsAfterAll(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.VolumeTooSmall)}
	s.MayWarn = []string{string(v1alpha1.ReasonInventoryPending)}
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"one.bin": story.Bytes(1, 20*story.MiB)})
	s.Source("source", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Sizing = v1alpha1.Sizing{OnTooSmall: v1alpha1.TooSmallGrow, OveragePercent: new(int32(0))}
	})
	claim := s.Claim(story.Claim{Source: "source", Size: "8Mi"})
	now, volume := s.Populated(claim, bucket.Under(""))
	s.WaitForEvent(claim, string(wire.VolumeTooSmall), "The volume may grow, so it is replaced by one of ")
	have, asked := volume.Spec.Capacity.Storage().Value(), now.Spec.Resources.Requests.Storage().Value()
	if have <= 20*story.MiB || asked != 8*story.MiB {
		t.Errorf("the volume has %d bytes, the claim asks for %d", have, asked)
	}
}

// A server that cannot be reached is waited out, even where no attempt may fail.
func TestUnreachableServerIsWaitedOut(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.EndpointUnreachable)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	proxy := s.Proxy(bucket)
	proxy.Misbehave(story.Fault{Do: story.Reset})
	s.Source("source", bucket, through(proxy), func(o *v1alpha1.S3Source) {
		o.Annotations = map[string]string{v1alpha1.AnnotationInventory: v1alpha1.InventorySkip}
		o.Spec.Retries.Limit = new(int32(0))
	})
	claim := s.Claim(story.Claim{Source: "source"})
	c := s.WaitForCondition(claim.Name, string(wire.EndpointUnreachable), "That has lasted since ")
	if c.Status != corev1.ConditionUnknown {
		t.Errorf("the condition is %s: %s", c.Status, c.Message)
	}
	proxy.Behave()
	s.Populated(claim, bucket.Under(""))
}
