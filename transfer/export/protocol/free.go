// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Free is the first volume by name that Kubernetes would bind the temporary claim to, instead of having one made; empty
// where there is none. It compares what FindMatchingVolume of k8s.io/component-helpers compares for a volume that is
// not reserved, but for the node: which one a pod gets is not known yet.
func Free(s State, volumes []corev1.PersistentVolume) string {
	if s.Claim == nil {
		return ""
	}
	claim, first := TemporaryClaim(s), ""
	for i := range volumes {
		if v := &volumes[i]; fits(v, claim) && (first == "" || v.Name < first) {
			first = v.Name
		}
	}
	return first
}

func fits(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	attributes, mode := v.Spec.VolumeAttributesClassName, v.Spec.VolumeMode
	if v.Status.Phase != corev1.VolumeAvailable || v.Spec.ClaimRef != nil || v.DeletionTimestamp != nil ||
		v.Spec.StorageClassName != *claim.Spec.StorageClassName || mode != nil && *mode != *claim.Spec.VolumeMode ||
		attributes != nil && *attributes != "" {
		return false
	}
	have, want := v.Spec.Capacity[corev1.ResourceStorage], claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return have.Cmp(want) >= 0 && !slices.ContainsFunc(claim.Spec.AccessModes,
		func(m corev1.PersistentVolumeAccessMode) bool { return !slices.Contains(v.Spec.AccessModes, m) })
}

// freeProblem is for a class that has free volumes: each run would take one of them, fail, and leave it with the policy
// Retain, because it may hold somebody's data.
func freeProblem(s State) problem {
	if s.Temporary.Free == "" {
		return problem{}
	}
	return problemOf(v1alpha1.ReasonFreeVolume,
		"spec.storageClassName: PersistentVolume %s of StorageClass %s is free, and the temporary claim would be bound "+
			"to it, not to a new volume. Reserve it by its spec.claimRef, or name a class without free volumes in a new "+
			"export; this one goes on when there is none.",
		s.Temporary.Free, ClassNameFor(s))
}
