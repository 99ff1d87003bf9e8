// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// needsConsumer tells that nobody but us gets the prime bound: its class waits for a pod
// that uses it, and its user asked not to wait for theirs. A prime that knows its node
// already is provisioned without one.
func needsConsumer(s State) bool {
	return lateBinding(s) && !waitsForConsumer(s) && !Bound(s.Prime) && s.Prime.Status.Phase != corev1.ClaimLost
}

// runConsumer has the scheduler choose a node for the prime, by a pod that cannot write: a
// class that waits may hand out a volume that somebody else has filled, and only once the
// prime is bound is it known which volume it got.
//
//	consumer            prime's node   action
//	none                known          wait for the provisioner
//	none                unknown        start one, if the source that places it exists
//	of another source   any            delete it; the next is placed anew
//	going, or ended     any            wait; an ended one goes after a while
//	waits               any            wait, and tell why
func runConsumer(s State) (Decision, bool) {
	if !needsConsumer(s) {
		return Decision{}, false
	}
	if s.Consumer == nil {
		return startConsumer(s)
	}
	age := s.Now.Sub(s.Consumer.CreationTimestamp.Time)
	switch {
	case !OwnedBy(s.Consumer, s.Claim):
		return nameTaken(s.Consumer.Name), true
	case s.Consumer.DeletionTimestamp != nil:
		return WaitForEnd(s, s.Consumer), true
	case s.Source != nil && s.Consumer.Annotations[v1alpha1.AnnotationPodHash] != PodHash(s.Source):
		return Decision{Action: DeleteConsumer}, true
	case age < ProvisionPatience:
		return Decision{Action: Wait, Recheck: ProvisionPatience - age}, true
	case moverpod.Stopped(s.Consumer) || s.Consumer.Status.Phase == corev1.PodFailed:
		return Decision{Action: DeleteConsumer}, true // It ran, so the scheduler was done, yet nothing came of it.
	case s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] != "":
		return Decision{}, false // The provisioner's turn, and its words.
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonMoverPending, fmt.Sprintf(
		"Pod %s, for which the volume is made, cannot be scheduled yet: %s",
		s.Consumer.Name,
		sentence(moverpod.PendingReason(s.Consumer, "")),
	)).Again(lookAgain(age)), true
}

func startConsumer(s State) (Decision, bool) {
	switch {
	case s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] != "":
		return Decision{}, false
	case s.Source == nil:
		return sourceNotFound(s), true
	}
	return Decision{Action: StartConsumer}, true
}

// endConsumer removes the consumer of a bound prime before anything else uses its volume.
func endConsumer(s State) (Decision, bool) {
	switch {
	case s.Consumer == nil || !OwnedBy(s.Consumer, s.Claim):
		return Decision{}, false
	case s.Consumer.DeletionTimestamp != nil:
		return WaitForEnd(s, s.Consumer), true
	}
	return Decision{Action: DeleteConsumer}, true
}

// nameTaken: names of ours are derived from the claim's UID, so somebody made it by hand.
func nameTaken(name string) Decision {
	return Because(corev1.ConditionFalse, v1alpha1.ReasonPrimeConflict, fmt.Sprintf(
		"A pod named %s exists that was not made for this claim. Delete it; population then goes on.",
		name,
	)).Again(conflictRecheck)
}

// conflictRecheck is how often something is looked at again that has a name of ours: our
// watches may not show what is not ours.
const conflictRecheck = 30 * time.Second

// clearPods removes what holds a prime, mover first; false when nothing does any more.
func clearPods(s State, d Decision) (Decision, bool) {
	pods := []struct {
		pod    *corev1.Pod
		action Action
	}{{s.Mover, DeleteMover}, {s.Consumer, DeleteConsumer}}
	for _, p := range pods {
		if p.pod != nil && p.pod.DeletionTimestamp == nil && OwnedBy(p.pod, s.Claim) {
			return d.Then(p.action), true
		}
	}
	return d, false
}

// podGoing is a pod of ours that is on its way out.
func podGoing(s State) *corev1.Pod {
	for _, p := range []*corev1.Pod{s.Mover, s.Consumer} {
		if p != nil && p.DeletionTimestamp != nil && OwnedBy(p, s.Claim) {
			return p
		}
	}
	return nil
}
