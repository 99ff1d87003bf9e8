// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// labelsDelay is how often we look again at an object whose labels were changed: without
// them no watch of ours sees it.
const labelsDelay = 30 * time.Second

// ChangedLabel finds the first label of ours that an object made for this claim does not
// carry as it was made. That it was made for the claim is told by its owner reference, which
// holds the claim's UID. Nil labels are those of an object that lost all of them.
func ChangedLabel(
	object metav1.Object,
	claim *corev1.PersistentVolumeClaim,
	made map[string]string,
) (name string, changed bool) {
	if !metav1.IsControlledBy(object, claim) {
		return "", false
	}
	for _, k := range []string{v1alpha1.LabelManagedBy, v1alpha1.LabelClaimUID, v1alpha1.LabelRole} {
		if object.GetLabels()[k] != made[k] {
			return k, true
		}
	}
	return "", false
}

// LabelsChanged tells of an object that was made, but that a policy changed so that it
// cannot be watched.
func LabelsChanged(kind string, object metav1.Object, label, want string) Decision {
	has := "has none"
	if v, ok := object.GetLabels()[label]; ok {
		has = fmt.Sprintf("has %q", v)
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonLabelsChanged, fmt.Sprintf(
		"Label %s of %s %s must be %q, but it %s: an admission policy or webhook changed it, so that population cannot go "+
			"on. "+
			"Exempt objects with the label %s=%s from that policy, then `kubectl delete %s %s`; it is made again within %s.",
		label, kind, object.GetName(), want, has, v1alpha1.LabelManagedBy, v1alpha1.ManagedBy, kind, object.GetName(),
		labelsDelay)).Again(labelsDelay)
}

// refuseRelabelledPrime comes before the rule for a prime that is not ours at all.
func refuseRelabelledPrime(s State) (Decision, bool) {
	made := labels(s.Claim, v1alpha1.RolePrime)
	name, changed := ChangedLabel(s.Prime, s.Claim, made)
	if !changed || name == v1alpha1.LabelManagedBy { // Primes are found by the two others.
		return Decision{}, false
	}
	return LabelsChanged("pvc", s.Prime, name, made[name]), true
}

// refuseRelabelledMover comes before the rule for a mover that is not ours at all.
func refuseRelabelledMover(s State) (Decision, bool) {
	if s.Mover == nil {
		return Decision{}, false
	}
	made := labels(s.Claim, v1alpha1.RolePopulate)
	name, changed := ChangedLabel(s.Mover, s.Claim, made)
	if !changed {
		return Decision{}, false
	}
	return LabelsChanged("pod", s.Mover, name, made[name]), true
}
