// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
	"github.com/s3populator/s3populator/e2e/story"
)

// ghost is a node whose machine was there once: its kubelet is played up to the moment at
// which it falls silent. It offers what the real node offers, and only to who tolerates it.
func ghost(s *story.Story) *corev1.Node {
	s.T.Helper()
	found := &corev1.Node{}
	if err := world.Client.Get(s.T.Context(), client.ObjectKey{Name: rundir.NodeName}, found); err != nil {
		s.T.Fatalf("find the real node: %v", err)
	}
	labels := maps.Clone(found.Labels)
	labels["e2e/ghost"], labels[corev1.LabelHostname] = s.Namespace, s.Namespace
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: s.Namespace, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "e2e/ghost", Effect: corev1.TaintEffectNoSchedule}}},
	}
	s.Create(node)
	s.T.Cleanup(func() { s.Remove(node) })
	beat(s, node)
	return node
}

// beat is what its kubelet says at intervals. The node counts as lost some 40 s after the last time.
func beat(s *story.Story, node *corev1.Node) {
	s.T.Helper()
	some := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("4"),
		corev1.ResourceMemory: resource.MustParse("4Gi"),
		corev1.ResourcePods:   resource.MustParse("10"),
	}
	status(s, node, func() {
		node.Status = corev1.NodeStatus{Capacity: some, Allocatable: some, Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}}}
	})
}

// status writes an object's status as its kubelet would.
func status[T client.Object](s *story.Story, o T, change func()) {
	s.T.Helper()
	s.Await("the status of "+o.GetName()+" to be written", func() error {
		if err := s.Find(o); err != nil {
			return err
		}
		change()
		return world.Client.Status().Update(s.T.Context(), o)
	})
}

// A mover on a node that falls silent is told of, with the ways out, and no other mover is
// started. When the node is deleted, another one fills the volume.
func TestNodeLost(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonMoverLost)}
	s.MayWarn = []string{string(v1alpha1.ReasonMoverPending), "Interrupted"}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	node := ghost(s)
	source := s.Source("source", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Mover.NodeSelector = map[string]string{"e2e/ghost": s.Namespace}
		o.Spec.Mover.Tolerations = []corev1.Toleration{{Key: "e2e/ghost", Operator: corev1.TolerationOpExists}}
		o.Annotations = map[string]string{v1alpha1.AnnotationInventory: "Skip"}
	})
	claim := s.Claim(story.Claim{Source: "source"})
	mover := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "populate-" + string(claim.UID), Namespace: s.Namespace}}
	s.Await("the mover to be on the ghost", func() error {
		beat(s, node)
		if err := s.Find(mover); err != nil {
			return err
		}
		if mover.Spec.NodeName != node.Name {
			return errors.New("it is on " + mover.Spec.NodeName)
		}
		return nil
	})
	status(s, mover, func() {
		mover.Status.Phase, mover.Status.StartTime = corev1.PodRunning, new(metav1.Now())
		mover.Status.Conditions = append(mover.Status.Conditions,
			corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
			corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
		mover.Status.ContainerStatuses = []corev1.ContainerStatus{
			{
				Name:  "mover",
				Ready: true,
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
			},
		}
	})
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonMoverLost), "kubectl delete node "+node.Name)
	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Mover.NodeSelector = nil })
	s.Delete(node)
	s.Gone(mover)
	s.Populated(claim, bucket.Under(""))
}
