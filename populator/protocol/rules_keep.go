// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// heldBefore tells that a mover found something on the volume that no mover of this claim
// wrote. The provisioner made the volume for the prime, but what is on it is somebody's. It
// stays so until a mover began to fill the volume, whatever later attempts end with. One that
// another claim has too is somebody's although a mover of this one wrote to it. A mover that was deleted before its end
// was recorded has said so, too.
func heldBefore(s State) bool {
	if s.Prime == nil || Filled(s.Prime) {
		return false
	}
	past := ReadAttempts(s.Prime)
	mover := s.Ended()
	if mover != nil && (!OwnedBy(mover, s.Claim) || !fillsPrime(mover, s.Prime)) {
		mover = nil
	}
	switch {
	case past.Shared || mover != nil && shared(mover):
		return true
	case past.Began:
		return false
	case past.Held:
		return true
	}
	return mover != nil && held(mover)
}

// keptAside tells that nothing which happens to a volume's prime deletes the volume.
func keptAside(v *corev1.PersistentVolume) bool {
	return v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain &&
		v.Annotations[v1alpha1.AnnotationScratchFor] == ""
}

// keepVolume makes sure that a volume which holds something outlives its prime, also when
// the claim is deleted while nobody of us looks. A changed request or retry token lets the
// volume be tried again: somebody may have emptied it. It is kept until a mover agrees.
func keepVolume(s State) (Decision, bool) {
	v := s.PrimeVolume
	if v == nil || s.Prime.DeletionTimestamp != nil || !heldBefore(s) {
		return Decision{}, false
	}
	past := ReadAttempts(s.Prime)
	told := past.Reason == wire.VolumeNotEmpty && !past.fresh(s)
	switch {
	case !told && keptAside(v):
		return Decision{}, false
	case !told:
		return Decision{Action: KeepVolume}, true
	}
	d := populationFailed(past)
	d.Message += fmt.Sprintf(" Volume %s is kept, also when the claim is deleted.", v.Name)
	if !keptAside(v) {
		return d.Then(KeepVolume), true
	}
	return d, true
}

// replaceUnproven makes the prime anew when a mover refused what an earlier one had begun to fill: that one completed
// the volume unheard, or another request did, and what is there is not what is asked for now. It was never handed over,
// so that it holds nothing but what came from S3; keepVolume has decided about one that another claim has too. A mover
// cannot know that: if it started late, a volume that is in use looks the same to it.
func replaceUnproven(s State) (Decision, bool) {
	past := ReadAttempts(s.Prime)
	if s.Source == nil || !past.Began || past.Reason != wire.VolumeNotEmpty || past.fresh(s) {
		return Decision{}, false
	}
	return replacePrime(s, Because(corev1.ConditionUnknown, v1alpha1.Reason(past.Reason), fmt.Sprintf(
		"%s A mover of this claim had filled the volume, which was not handed over; it is replaced and filled again.",
		sentence(past.Message),
	))), true
}

// KeepPatch takes the record of a scratch volume back. Its own policy stays remembered.
func KeepPatch(volume *corev1.PersistentVolume) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": volume.ResourceVersion,
			"annotations": map[string]any{
				v1alpha1.AnnotationReclaimPolicy: ownPolicy(volume),
				v1alpha1.AnnotationScratchFor:    nil,
			},
		},
		"spec": map[string]any{"persistentVolumeReclaimPolicy": string(corev1.PersistentVolumeReclaimRetain)},
	})
}

// ownPolicy is the reclaim policy that a volume was found with, or was given by somebody else
// while it was ours: a scratch volume that is not to be deleted is not as we made it.
func ownPolicy(volume *corev1.PersistentVolume) string {
	now, marks := volume.Spec.PersistentVolumeReclaimPolicy, volume.Annotations
	if own := marks[v1alpha1.AnnotationReclaimPolicy]; own != "" &&
		(marks[v1alpha1.AnnotationScratchFor] == "" || now == corev1.PersistentVolumeReclaimDelete) {
		return own
	}
	return string(now)
}
