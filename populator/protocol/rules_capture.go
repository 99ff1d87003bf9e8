// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// unscheduledRecheck is how soon it is looked again for the node of a consumer whose prime
// is bound: the scheduler writes it right after that.
const unscheduledRecheck = 2 * time.Second

// captured tells that the volume of a prime was not made for it. Kubernetes writes
// bound-by-controller when it binds a claim to a volume that was free; a provisioner makes
// a volume with its claimRef set (GetBindVolumeToClaim of k8s.io/component-helpers).
func captured(volume *corev1.PersistentVolume) bool {
	_, free := volume.Annotations[v1alpha1.AnnotationBoundByController]
	return free || volume.Annotations[v1alpha1.AnnotationProvisionedBy] == "" ||
		volume.Annotations[v1alpha1.AnnotationReleasing] != ""
}

// releaseCaptured gives a volume back that was there before its prime: it may hold
// somebody's data, and its policy is an administrator's. Each write of this order can be
// the last one before a restart, and the volume is safe after every one:
//
//	volume: policy Retain, its own remembered, releasing=UID   ReleaseVolume
//	claim: how the next prime is made                          RememberPrime
//	mover and consumer are deleted                             DeleteMover, DeleteConsumer
//	prime is deleted                                           DeletePrime
//	volume: claimRef cleared, when the prime is gone           the volume controller
//	volume: its own policy again, when it is Available         the volume controller
func releaseCaptured(s State) (Decision, bool) {
	v := s.PrimeVolume
	if v == nil || !captured(v) || !RefersTo(v, s.Prime) && !releasingFor(v, s.Claim) {
		return Decision{}, false
	}
	d := volumeCaptured(s, v.Name)
	switch {
	case RefersTo(v, s.Prime) && !releasingFor(v, s.Claim):
		return d.Then(ReleaseVolume), true
	case ReadNextPrime(s.Claim).Prime != string(s.Prime.UID):
		return rememberPrime(s)
	}
	if d, ok := clearPods(s, d); ok {
		return d, true
	}
	if podGoing(s) != nil {
		return untilEnd(s, d), true
	}
	return d.Then(DeletePrime), true
}

// rememberPrime waits for the consumer's node, which the next prime needs. It is silent,
// because it writes the claim, and so would a condition.
func rememberPrime(s State) (Decision, bool) {
	if c := s.Consumer; c != nil && OwnedBy(c, s.Claim) && c.Spec.NodeName == "" && c.DeletionTimestamp == nil &&
		s.Prime.DeletionTimestamp == nil {
		return Decision{Action: Wait, Recheck: unscheduledRecheck}, true
	}
	return Decision{Action: RememberPrime}, true
}

// NextAfterCapture is what the claim remembers of a prime that got a volume which is not
// ours to fill. A class that waits hands out no free volume to a prime that knows its node,
// so the first of those is made at once.
func NextAfterCapture(s State) NextPrime {
	n := ReadNextPrime(s.Claim)
	n.Prime, n.Volume, n.Node = string(s.Prime.UID), s.PrimeVolume.Name, ""
	n.Count++
	if lateBinding(s) && s.Consumer != nil {
		n.Node = s.Consumer.Spec.NodeName
	}
	n.After = time.Time{}
	if n.Node == "" || n.Count > 1 {
		n.After = s.Now.Add(backoff(n.Count, lastBackoff)).UTC().Truncate(time.Second)
	}
	return n
}

// waitForNextPrime keeps a class whose free volumes are handed out to primes from looping.
func waitForNextPrime(s State) (Decision, bool) {
	n := ReadNextPrime(s.Claim)
	if s.Prime != nil || n.Volume == "" || !s.Now.Before(n.After) {
		return Decision{}, false
	}
	d := volumeCaptured(s, n.Volume)
	d.Message += fmt.Sprintf(" That is done at %s UTC.", n.After.UTC().Format(time.TimeOnly))
	return d.Again(n.After.Sub(s.Now)), true
}

func volumeCaptured(s State, volume string) Decision {
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonVolumeCaptured, fmt.Sprintf(
		"The prime claim %s was bound to volume %s, an existing free volume that was not provisioned for it. The volume is not changed: it is released with the reclaim policy that it had, and another prime claim is created. "+
			"To reserve the volume for something else, set its claimRef, or change its storageClassName.",
		PrimeName(s.Claim),
		volume,
	))
}

// secureVolume is what a volume needs before its prime may be deleted: one that was free is
// freed again; one that holds something is kept, but not free, because the next claim would
// get what is on it; one that is ours goes with its prime.
func secureVolume(s State) (Decision, bool) {
	v := s.PrimeVolume
	if s.Prime == nil || v == nil || !RefersTo(v, s.Prime) || v.DeletionTimestamp != nil || !OwnedBy(s.Prime, s.Claim) {
		return Decision{}, false
	}
	switch {
	case captured(v):
		return Decision{Action: ReleaseVolume}, !releasingFor(v, s.Claim)
	case heldBefore(s):
		return Decision{Action: KeepVolume}, !keptAside(v)
	}
	return Decision{Action: MarkScratch}, !scratchFor(v, s.Claim)
}

func releasingFor(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v.Annotations[v1alpha1.AnnotationReleasing] == string(claim.UID)
}

// scratchFor tells that a volume was recorded as worth nothing, before a mover was started. An
// administrator may have set another policy than ours since; it stays.
func scratchFor(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v.Annotations[v1alpha1.AnnotationScratchFor] == string(claim.UID)
}

// ForgetConsumerPatch ends what is known of the attachment before the first mover.
func ForgetConsumerPatch(volume *corev1.PersistentVolume) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": volume.ResourceVersion,
		"annotations":     map[string]any{v1alpha1.AnnotationAttachedByConsumer: nil},
	}})
}

// ReleasePatch is the first write of a release: whatever happens to the prime from here on,
// the volume stays. The policy that was found is kept, also over an earlier mark of ours.
func ReleasePatch(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": volume.ResourceVersion,
			"annotations": map[string]any{
				v1alpha1.AnnotationReleasing:          string(claim.UID),
				v1alpha1.AnnotationReclaimPolicy:      ownPolicy(volume),
				v1alpha1.AnnotationScratchFor:         nil,
				v1alpha1.AnnotationAttachedByConsumer: nil,
			},
		},
		"spec": map[string]any{"persistentVolumeReclaimPolicy": string(corev1.PersistentVolumeReclaimRetain)},
	})
}
