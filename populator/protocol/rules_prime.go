// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ProvisionPatience is how long provisioning may take before the claim's condition tells
// of it: until then the event that the population began explains the wait. What is quick
// costs no write, and each write to a claim makes the PV controller and the provisioner
// look at it, and say so, once more.
const ProvisionPatience = 15 * time.Second

// clearOrphanedPods removes pods whose prime is gone, before a new prime is made: they
// would hold the old volume.
func clearOrphanedPods(s State) (Decision, bool) {
	if s.Prime != nil {
		return Decision{}, false
	}
	if d, ok := clearPods(s, Decision{}); ok {
		return d, true
	}
	if p := podGoing(s); p != nil {
		return WaitForEnd(s, p), true
	}
	return Decision{}, false
}

func createMissingPrime(s State) (Decision, bool) {
	if s.Prime != nil {
		return Decision{}, false
	}
	return Decision{Action: CreatePrime, Announce: v1alpha1.ReasonPopulationStarted}, true
}

// refuseForeignPrime: the name is derived from the claim's UID, so somebody made it by hand.
func refuseForeignPrime(s State) (Decision, bool) {
	if OwnedBy(s.Prime, s.Claim) {
		return Decision{}, false
	}
	d := Because(corev1.ConditionFalse, v1alpha1.ReasonPrimeConflict, fmt.Sprintf(
		"A claim named %s exists that was not made for this one. Delete it; population then begins.",
		s.Prime.Name,
	)).Again(conflictRecheck)
	if cleared, ok := clearPods(s, d); ok { // Pods of an earlier prime name this one, too, and would keep it.
		return cleared, true
	}
	return d, true
}

// waitForDeletedPrime: its volume will be reclaimed, so nothing on it may be promised.
// Pods go first, because they hold the prime; before that the volume is made safe.
func waitForDeletedPrime(s State) (Decision, bool) {
	if s.Prime.DeletionTimestamp == nil {
		return Decision{}, false
	}
	if d, ok := secureVolume(s); ok {
		return d, true
	}
	if n := ReadNextPrime(s.Claim); n.Prime == string(s.Prime.UID) {
		d, ok := clearPods(s, volumeCaptured(s, n.Volume))
		if !ok {
			d = untilEnd(s, d)
		}
		return d, true
	}
	d := Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, fmt.Sprintf(
		"The prime claim %s is being deleted; population begins again when it is gone.", s.Prime.Name))
	if d, ok := clearPods(s, d); ok {
		return d, true
	}
	return untilEnd(s, d), true
}

// mirrorSelectedNode keeps the scheduler's and the provisioner's idea of the node equal
// while the prime is unbound:
//
//	claim   prime   means                                  action
//	X       -       provisioner gave X up, or a new node   see below
//	X       X       agreed                                 -
//	X       Y       a volume may be under way on Y         never overwrite
//	-       any     the scheduler has to choose            -
//
// A prime is made with the claim's node, so one without has lost it: the claim must lose
// the same value, and the scheduler chooses again. A value the prime did not lose is new.
func mirrorSelectedNode(s State) (Decision, bool) {
	node := s.Claim.Annotations[v1alpha1.AnnotationSelectedNode]
	if Bound(s.Prime) || !waitsForConsumer(s) || s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] != "" || node == "" {
		return Decision{}, false
	}
	if node == s.Prime.Annotations[v1alpha1.AnnotationMirroredNode] {
		d := Decision{Action: ReleaseNode, Announce: v1alpha1.ReasonRescheduling}
		d.Message = fmt.Sprintf(
			"The provisioner cannot make a volume on node %s; the scheduler has to choose another one.",
			node,
		)
		return d, true
	}
	return Decision{Action: SelectNode}, true
}

// waitForScheduler: the node was given up, and no other one is chosen yet.
func waitForScheduler(s State) (Decision, bool) {
	if Bound(s.Prime) || s.Prime.Status.Phase == corev1.ClaimLost || !waitsForConsumer(s) ||
		s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] != "" ||
		s.Claim.Annotations[v1alpha1.AnnotationSelectedNode] != "" {
		return Decision{}, false
	}
	d := Because(
		corev1.ConditionUnknown,
		v1alpha1.ReasonRescheduling,
		"The provisioner gave up the node that was chosen for the claim, and the scheduler has not chosen another one. Check that a pod uses the claim and fits another node.",
	)
	if age := s.Now.Sub(s.Prime.CreationTimestamp.Time); age < ProvisionPatience {
		return d.Again(ProvisionPatience - age).Quietly(), true
	}
	return d, true
}

// waitForProvisioner explains a volume that does not come.
func waitForProvisioner(s State) (Decision, bool) {
	if Bound(s.Prime) || s.Prime.Status.Phase == corev1.ClaimLost {
		return Decision{}, false
	}
	age := s.Now.Sub(s.Prime.CreationTimestamp.Time)
	message := fmt.Sprintf("Waiting for the provisioner to make a volume for the prime claim %s.", s.Prime.Name)
	if age < ProvisionPatience {
		waiting := Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, message)
		return waiting.Again(ProvisionPatience - age).Quietly(), true
	}
	if s.Trouble != "" {
		message = fmt.Sprintf("The volume is not made yet: %s (prime claim %s).", s.Trouble, s.Prime.Name)
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, message).Again(lookAgain(age)), true
}

// waitForBoundPhase: the phase is the last of the writes that bind a claim. A kubelet mounts no
// claim without it, and rests 10 to 15 s after it refused.
func waitForBoundPhase(s State) (Decision, bool) {
	if s.Mover != nil || Filled(s.Prime) || s.Prime.Status.Phase == corev1.ClaimBound {
		return Decision{}, false
	}
	age := s.Now.Sub(s.Prime.CreationTimestamp.Time)
	waiting := Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, fmt.Sprintf(
		"Waiting for the controller manager to call the prime claim %s Bound; it has volume %s.",
		s.Prime.Name, s.Prime.Spec.VolumeName,
	))
	if age < ProvisionPatience {
		return waiting.Again(ProvisionPatience - age).Quietly(), true
	}
	return waiting.Again(lookAgain(age)), true
}

// replaceLostPrime: without its volume there is nothing to save, so it begins again.
func replaceLostPrime(s State) (Decision, bool) {
	if s.PrimeVolume != nil || !Bound(s.Prime) && s.Prime.Status.Phase != corev1.ClaimLost {
		return Decision{}, false
	}
	d := Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, fmt.Sprintf(
		"The volume of the prime claim %s is gone; population begins again with a new one.", s.Prime.Name))
	if d, ok := clearPods(s, d); ok {
		return d, true
	}
	return d.Then(DeletePrime), true
}

// refuseStolenVolume never writes to a volume that somebody pointed elsewhere.
func refuseStolenVolume(s State) (Decision, bool) {
	if s.PrimeVolume == nil || RefersTo(s.PrimeVolume, s.Prime) && s.PrimeVolume.DeletionTimestamp == nil {
		return Decision{}, false
	}
	why := "its claimRef was changed by someone else"
	if s.PrimeVolume.DeletionTimestamp != nil {
		why = "it is being deleted"
	}
	return Because(corev1.ConditionFalse, v1alpha1.ReasonRebindBlocked, fmt.Sprintf(
		"Volume %s was to become this claim's, but cannot be handed over: %s. Delete the claim and create it again.",
		s.PrimeVolume.Name,
		why,
	)), true
}

// waitForReclaim: the PV controller calls a volume released when its claim is gone, so that our
// view of the prime is older than that of its volume. From then on the provisioner may delete
// what is behind it, and nothing may be handed over.
func waitForReclaim(s State) (Decision, bool) {
	if s.PrimeVolume == nil ||
		s.PrimeVolume.Status.Phase != corev1.VolumeReleased && s.PrimeVolume.Status.Phase != corev1.VolumeFailed {
		return Decision{}, false
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, fmt.Sprintf(
		"The prime claim %s was deleted by someone else; population begins again with a new one.",
		s.Prime.Name,
	)).Again(reclaimRecheck).Quietly(), true
}

// reclaimRecheck is the net below the watch of primes.
const reclaimRecheck = 10 * time.Second

// makeVolumeScratch: until the rebind a volume is worth nothing, so an aborted population
// must not leave it behind, whatever its class says. The mark is also the record by which
// it is known as ours, so a class that deletes gets it too. One that held something is kept
// until a mover began to fill it.
func makeVolumeScratch(s State) (Decision, bool) {
	if s.PrimeVolume == nil || scratchFor(s.PrimeVolume, s.Claim) || heldBefore(s) {
		return Decision{}, false
	}
	return Decision{Action: MarkScratch}, true
}
