// SPDX-License-Identifier: Apache-2.0

// Package protocol is the pure half of populating a claim: what is known of the world
// (State), what is done about it (Decide, an ordered list of rules), what is made (Prime,
// Mover, the patches of volumes), and the words of conditions, events and S3Imports. It
// has no client and no clock; package populator observes, acts and reports.
package protocol

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/queue"
)

// State is all that a decision may rest on. A nil object is absent.
type State struct {
	Now   time.Time
	Claim *corev1.PersistentVolumeClaim
	// Source is what the claim's dataSourceRef names, with the prefix of the export that it may name. Unresolved is
	// it instead where that export has not been found.
	Source     *v1alpha1.S3Source
	Unresolved *v1alpha1.S3Source
	Class      *storagev1.StorageClass
	// CSI tells that the class's provisioner is a CSI driver known to this cluster; only
	// those leave a claim with a dataSourceRef of our kind alone.
	CSI   bool
	Prime *corev1.PersistentVolumeClaim
	// PrimeVolume is what the prime is bound to.
	PrimeVolume *corev1.PersistentVolume
	// ClaimVolume is what the claim's spec.volumeName names.
	ClaimVolume *corev1.PersistentVolume
	// Promised is the volume whose claimRef carries the claim's UID.
	Promised *corev1.PersistentVolume
	Mover    *corev1.Pod
	// Vanished is a mover as it was last seen, that is gone without a doing of ours.
	Vanished *corev1.Pod
	Import   *v1alpha1.S3Import
	// Queued is where a mover stands that may not start yet; nil lets it start.
	Queued *queue.Position
	// Consumer is the pod that gets the prime bound where its class waits for one.
	Consumer *corev1.Pod
	// Attachments of PrimeVolume to nodes, while there is no mover.
	Attachments []storagev1.VolumeAttachment
	// Trouble is the latest Warning event of a prime or mover that has been waiting.
	Trouble string
}

// Bound tells that the PV controller is done with a claim: the same test as the scheduler's.
func Bound(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeName != "" && claim.Annotations[v1alpha1.AnnotationBindCompleted] != ""
}

// OwnedBy tells that an object was made for this very claim, not for an earlier one of its
// name: it says so, and goes with it.
func OwnedBy(object metav1.Object, claim *corev1.PersistentVolumeClaim) bool {
	return object.GetLabels()[v1alpha1.LabelClaimUID] == string(claim.UID) && metav1.IsControlledBy(object, claim)
}

// fillsPrime tells that a mover was made for this prime, and not for an earlier one of the claim
// that had the same name. What a mover tells is about the volume of its own prime. A mover of
// an earlier version of ours carries no UID.
func fillsPrime(mover *corev1.Pod, prime *corev1.PersistentVolumeClaim) bool {
	if uid, ok := mover.Annotations[v1alpha1.AnnotationPrimeUID]; ok {
		return uid == string(prime.UID)
	}
	return !mover.CreationTimestamp.Before(&prime.CreationTimestamp)
}

// RefersTo tells whose a volume is by the only key that cannot be reused.
func RefersTo(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return volume != nil && volume.Spec.ClaimRef != nil && volume.Spec.ClaimRef.UID == claim.UID
}

// PopulatedFor tells that a volume was rebound by us, complete, for this claim.
func PopulatedFor(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return volume != nil && volume.Annotations[v1alpha1.AnnotationPopulatedFor] == string(claim.UID)
}

// block tells that the claim wants a device.
func block(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock
}

// waitsForConsumer tells that no prime may be made before a pod was scheduled.
func waitsForConsumer(s State) bool {
	return lateBinding(s) && s.Claim.Annotations[v1alpha1.AnnotationBind] != v1alpha1.BindImmediate
}

func lateBinding(s State) bool {
	return s.Class != nil && s.Class.VolumeBindingMode != nil &&
		*s.Class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// onlyReaders tells that nothing could write through the claim's own access modes.
func onlyReaders(modes []corev1.PersistentVolumeAccessMode) bool {
	return len(modes) > 0 &&
		!slices.ContainsFunc(modes, func(m corev1.PersistentVolumeAccessMode) bool { return m != corev1.ReadOnlyMany })
}

// Populated is the claim's condition as it was last written.
func Populated(claim *corev1.PersistentVolumeClaim) (corev1.PersistentVolumeClaimCondition, bool) {
	for _, c := range claim.Status.Conditions {
		if c.Type == v1alpha1.ConditionPopulated {
			return c, true
		}
	}
	return corev1.PersistentVolumeClaimCondition{}, false
}
