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

// clearOrphanedMover removes a mover whose prime is gone, before a new prime is made:
// it would hold the old volume.
func clearOrphanedMover(s State) (Decision, bool) {
	if s.Prime != nil || s.Mover == nil || !OwnedBy(s.Mover, s.Claim) {
		return Decision{}, false
	}
	if s.Mover.DeletionTimestamp != nil {
		return WaitForEnd(s, s.Mover), true
	}
	return Decision{Action: DeleteMover}, true
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
	return Because(corev1.ConditionFalse, v1alpha1.ReasonPrimeConflict, fmt.Sprintf(
		"A claim named %s exists that was not made for this one. Delete it; population then begins.", s.Prime.Name)), true
}

// waitForDeletedPrime: its volume will be reclaimed, so nothing on it may be promised.
// The mover goes first, because it holds the prime.
func waitForDeletedPrime(s State) (Decision, bool) {
	if s.Prime.DeletionTimestamp == nil {
		return Decision{}, false
	}
	d := Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, fmt.Sprintf(
		"The prime claim %s is being deleted; population begins again when it is gone.", s.Prime.Name))
	if s.Mover != nil && s.Mover.DeletionTimestamp == nil && OwnedBy(s.Mover, s.Claim) {
		return d.Then(DeleteMover), true
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
		d.Message = fmt.Sprintf("The provisioner cannot make a volume on node %s; the scheduler is asked for another one.", node)
		return d, true
	}
	return Decision{Action: SelectNode}, true
}

// waitForScheduler: the node was given up, and no other one is chosen yet.
func waitForScheduler(s State) (Decision, bool) {
	if Bound(s.Prime) || s.Prime.Status.Phase == corev1.ClaimLost || !waitsForConsumer(s) ||
		s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] != "" || s.Claim.Annotations[v1alpha1.AnnotationSelectedNode] != "" {
		return Decision{}, false
	}
	d := Because(corev1.ConditionUnknown, v1alpha1.ReasonRescheduling,
		"The provisioner gave up the node that was chosen for the claim, and the scheduler has not chosen another one. Is there a pod that uses the claim, and does it fit any other node?")
	if age := s.Now.Sub(s.Prime.CreationTimestamp.Time); age < ProvisionPatience {
		return d.Again(ProvisionPatience - age).Quietly(), true
	}
	return d, true
}

// waitForProvisioner explains a volume that does not come.
func waitForProvisioner(s State) (Decision, bool) {
	if Bound(s.Prime) || s.Prime.Status.Phase == corev1.ClaimLost || MoverIsConsumer(s) {
		return Decision{}, false
	}
	age := s.Now.Sub(s.Prime.CreationTimestamp.Time)
	message := fmt.Sprintf("Waiting for the provisioner to make a volume for the prime claim %s.", s.Prime.Name)
	if age < ProvisionPatience {
		return Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, message).Again(ProvisionPatience - age).Quietly(), true
	}
	if s.Trouble != "" {
		message = fmt.Sprintf("The volume is not made yet: %s (prime claim %s).", s.Trouble, s.Prime.Name)
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, message).Again(lookAgain(age)), true
}

// replaceLostPrime: without its volume there is nothing to save, so it begins again.
func replaceLostPrime(s State) (Decision, bool) {
	if s.PrimeVolume != nil || !Bound(s.Prime) && s.Prime.Status.Phase != corev1.ClaimLost {
		return Decision{}, false
	}
	d := Because(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning, fmt.Sprintf(
		"The volume of the prime claim %s is gone; population begins again with a new one.", s.Prime.Name))
	if s.Mover != nil && s.Mover.DeletionTimestamp == nil && OwnedBy(s.Mover, s.Claim) {
		return d.Then(DeleteMover), true
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
		"Volume %s was to become this claim's, but cannot be handed over: %s. Delete the claim and create it again to begin anew.", s.PrimeVolume.Name, why)), true
}

// refuseMadeByHand: a free volume was faster than the provisioner. Its reclaim policy and
// whatever is on it are an administrator's.
func refuseMadeByHand(s State) (Decision, bool) {
	if s.PrimeVolume == nil || s.PrimeVolume.Annotations[v1alpha1.AnnotationProvisionedBy] != "" {
		return Decision{}, false
	}
	return Because(corev1.ConditionFalse, v1alpha1.ReasonBoundElsewhere, fmt.Sprintf(
		"The prime claim %s was bound to volume %s, which no provisioner made and which we therefore leave alone. Delete the claim, make sure that no free volume fits it, and create it again.",
		s.Prime.Name, s.PrimeVolume.Name)), true
}

// makeVolumeScratch: until the rebind a volume is worth nothing, so an aborted
// population must not leave it behind, whatever its class says.
func makeVolumeScratch(s State) (Decision, bool) {
	if s.PrimeVolume == nil || s.PrimeVolume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		return Decision{}, false
	}
	return Decision{Action: MarkScratch}, true
}

// youngClaim: a claim below this age that was never told anything, and has no import, has
// hardly had a prime that somebody else removed since.
const youngClaim = 30 * time.Second

// MayHaveHadPrime tells that an earlier life of ours may have rebound a volume already,
// whose prime is gone: the name of one that is there is taken.
func MayHaveHadPrime(s State) bool {
	if s.Import != nil {
		return true // It is made with the first mover.
	}
	was, ok := Populated(s.Claim)
	if !ok {
		return s.Now.Sub(s.Claim.CreationTimestamp.Time) > youngClaim
	}
	switch v1alpha1.Reason(was.Reason) {
	case v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonWaitForFirstConsumer, v1alpha1.ReasonStorageClassNotFound, v1alpha1.ReasonStorageClassUnset,
		v1alpha1.ReasonUnsupportedClass, v1alpha1.ReasonUnsupportedClaim, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonPrimeRefused, v1alpha1.ReasonInventoryPending:
		return false // Written only before there was a prime.
	default:
		return true
	}
}
