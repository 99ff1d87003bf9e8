// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// VolumeStep is what a volume needs that names a prime, whether or not its claim exists.
type VolumeStep string

// The steps of a volume, from what is written on it alone.
const (
	// NoStep is also the answer for every volume that has nothing to do with us.
	NoStep VolumeStep = ""
	// ClearClaimRef of a volume that is released, once its prime is gone.
	ClearClaimRef VolumeStep = "ClearClaimRef"
	// RestorePolicy of a volume that was released. Not before it is Available: provisioners
	// delete a volume that is Released and whose policy is Delete.
	RestorePolicy VolumeStep = "RestorePolicy"
	// ReportOrphan: a volume that outlived a prime without a record of ours.
	ReportOrphan VolumeStep = "ReportOrphan"
)

// StepOf is pure.
func StepOf(v *corev1.PersistentVolume) VolumeStep {
	uid, ref := v.Annotations[v1alpha1.AnnotationReleasing], v.Spec.ClaimRef
	switch {
	case v.DeletionTimestamp != nil:
		return NoStep
	case uid == "" && orphaned(v):
		return ReportOrphan
	case uid == "":
		return NoStep
	case ref != nil && ref.Name == PrimePrefix+uid:
		return ClearClaimRef
	case v.Status.Phase == corev1.VolumeAvailable, v.Status.Phase == corev1.VolumeBound && ref != nil:
		return RestorePolicy
	case v.Status.Phase == corev1.VolumeReleased && ref != nil &&
		v.Annotations[v1alpha1.AnnotationReclaimPolicy] == string(corev1.PersistentVolumeReclaimRetain):
		return RestorePolicy // Another claim had it for a moment; to take the record off deletes nothing.
	}
	return NoStep
}

// orphaned tells that a volume is kept although the claim that it was bound to, and which
// has a name of ours, is gone. A volume with our record has the policy Delete; one without
// may be anybody's.
func orphaned(v *corev1.PersistentVolume) bool {
	return v.Status.Phase == corev1.VolumeReleased &&
		v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete &&
		v.Spec.ClaimRef != nil && strings.HasPrefix(v.Spec.ClaimRef.Name, PrimePrefix) &&
		v.Annotations[v1alpha1.AnnotationPopulatedFor] == ""
}

// ClearClaimRefPatch frees a volume as the PV controller does: it takes its own mark along.
func ClearClaimRefPatch(v *corev1.PersistentVolume) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": v.ResourceVersion,
			"annotations":     map[string]any{v1alpha1.AnnotationBoundByController: nil},
		},
		"spec": map[string]any{"claimRef": nil},
	})
}

// RestorePolicyPatch is the last write of a release: the volume is as it was found.
func RestorePolicyPatch(v *corev1.PersistentVolume) ([]byte, error) {
	policy := v.Spec.PersistentVolumeReclaimPolicy
	if own := v.Annotations[v1alpha1.AnnotationReclaimPolicy]; own != "" {
		policy = corev1.PersistentVolumeReclaimPolicy(own)
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": v.ResourceVersion,
			"annotations":     map[string]any{v1alpha1.AnnotationReleasing: nil, v1alpha1.AnnotationReclaimPolicy: nil},
		},
		"spec": map[string]any{"persistentVolumeReclaimPolicy": string(policy)},
	})
}

// SpentPrime tells that a claim whose own claim is gone is a prime of ours, so that nothing
// is lost with it: its name and label agree, and its volume carries our record, or was
// handed over long ago. Labels and names alone can be anybody's.
func SpentPrime(prime *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) bool {
	uid := prime.Labels[v1alpha1.LabelClaimUID]
	if uid == "" || prime.Name != PrimePrefix+uid || volume == nil {
		return false
	}
	if RefersTo(volume, prime) {
		return volume.Annotations[v1alpha1.AnnotationScratchFor] == uid ||
			volume.Annotations[v1alpha1.AnnotationReleasing] == uid
	}
	return volume.Annotations[v1alpha1.AnnotationPopulatedFor] == uid
}
