// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Worlds in which one part of what tells an object apart is wrong.

func onPrime(f func(*corev1.PersistentVolumeClaim)) change {
	return func(s *State) { f(s.Prime) }
}

var (
	unlabelledPrime = onPrime(func(p *corev1.PersistentVolumeClaim) { p.Labels = nil })
	orphanPrime     = onPrime(func(p *corev1.PersistentVolumeClaim) { p.OwnerReferences = nil })
	// primeOfAnother has our label, and an earlier claim of this name as its controller.
	primeOfAnother = onPrime(func(p *corev1.PersistentVolumeClaim) { p.OwnerReferences[0].UID = "earlier" })

	otherMode = onVolume(func(v *corev1.PersistentVolume) {
		v.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
	})
	otherAccess = onVolume(func(v *corev1.PersistentVolume) {
		v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	})
	largerVolume = onVolume(func(v *corev1.PersistentVolume) {
		v.Spec.Capacity[corev1.ResourceStorage] = resource.MustParse("10Gi")
	})
	// sameName is reserved by name alone, as an administrator does it.
	sameName         = onVolume(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "" })
	brokenVolume     = onVolume(func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeFailed })
	scratchOfAnother = onVolume(func(v *corev1.PersistentVolume) {
		v.Annotations[v1alpha1.AnnotationScratchFor] = "earlier"
	})
	releasingAnother = onVolume(func(v *corev1.PersistentVolume) {
		unmarkVolume(v)
		v.Annotations[v1alpha1.AnnotationReleasing] = "earlier"
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	})
)

// bindingPrime has its volume's name, but the PV controller is not done.
func bindingPrime(s *State) {
	boundPrime(s)
	delete(s.Prime.Annotations, v1alpha1.AnnotationBindCompleted)
	s.Prime.Status.Phase = corev1.ClaimPending
}

// sidecarDone has a report in the status of a container that is not the mover's.
func sidecarDone(s *State) {
	doneMover(s)
	s.Mover.Status.ContainerStatuses[0].Name = "proxy"
}

// doneInRunningPod has a sidecar that never ends.
func doneInRunningPod(s *State) {
	doneMover(s)
	s.Mover.Status.Phase = corev1.PodRunning
}

func doneUnlabelled(s *State) {
	doneMover(s)
	s.Mover.Labels = nil
}

func doneOfAnother(s *State) {
	doneMover(s)
	s.Mover.OwnerReferences = []metav1.OwnerReference{*s.Mover.OwnerReferences[0].DeepCopy()}
	s.Mover.OwnerReferences[0].UID = "earlier"
}

// notYetBound lacks the last write of a bind, the claim's phase.
func notYetBound(s *State) {
	boundToOurs(s)
	s.Claim.Status.Phase = corev1.ClaimPending
}

func filledForAnother(s *State) {
	boundToOurs(s)
	s.Promised.Annotations[v1alpha1.AnnotationPopulatedFor] = "earlier"
}

// claimedBack is bound by name to a volume whose claimRef is another claim's.
func claimedBack(s *State) {
	boundToOurs(s)
	s.ClaimVolume.Spec.ClaimRef.UID = "somebody"
	s.Promised = nil
}

// knowsOfAnotherClaim has an annotation that was copied from another claim.
func knowsOfAnotherClaim(s *State) {
	s.Claim.Annotations[v1alpha1.AnnotationNextPrime] = encoded(
		NextPrime{Claim: "another", Prime: primeUID, Node: "a", Count: 1, Volume: "pv-1"},
	)
}

// toldBySomebody has a condition that is not ours.
func toldBySomebody(s *State) {
	s.Claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{
		{Type: corev1.PersistentVolumeClaimResizing, Status: corev1.ConditionTrue},
	}
}

// justLostMover has not ended for exactly as long as docs/operations.md says.
func justLostMover(s *State) {
	runningMover(s)
	onNode(s)
	due(lostAfter)(s)
}
