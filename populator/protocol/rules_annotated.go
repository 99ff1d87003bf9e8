// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// waitForOwnSource is for claims that describe their source by annotations: only the source
// that was made from these is loaded. Another one of its name holds other data.
func waitForOwnSource(s State) (Decision, bool) {
	if s.Prime != nil || !annotated.Asked(s.Claim) || s.Source != nil && metav1.IsControlledBy(s.Source, s.Claim) {
		return Decision{}, false
	}
	name := s.Claim.Spec.DataSourceRef.Name
	if s.Source == nil {
		if _, errs := annotated.Source(s.Claim); len(errs) > 0 {
			return Because(corev1.ConditionFalse, v1alpha1.ReasonInvalidAnnotations, fmt.Sprintf(
				"The annotations that describe the source are not valid: %v. Correct them; population then begins.",
				errs.ToAggregate(),
			)), true
		}
		if !annotated.OwnName(s.Claim, name) {
			return Because(corev1.ConditionFalse, v1alpha1.ReasonSourceConflict, fmt.Sprintf(
				"S3Source %s is not there, and is not made from the claim's annotations, because other claims may wait for a source of that name. "+
					"Remove the annotation %s, and population begins once that source exists; or create the claim with the annotation and without spec.dataSourceRef.",
				name,
				v1alpha1.AnnotationURL,
			)), true
		}
		return early(s, Because(corev1.ConditionUnknown, v1alpha1.ReasonSourceNotFound, fmt.Sprintf(
			"S3Source %s is made from the claim's annotations, but is not there. If this does not change, the API server refuses it; its answer is in an event of the claim.",
			name,
		))), true
	}
	if owner := metav1.GetControllerOf(s.Source); owner != nil && owner.Kind == "PersistentVolumeClaim" &&
		owner.Name == s.Claim.Name {
		return early(s, Because(corev1.ConditionUnknown, v1alpha1.ReasonSourceConflict, fmt.Sprintf(
			"S3Source %s still belongs to an earlier claim of this name. Garbage collection removes it; population then begins.",
			name,
		))), true
	}
	return Because(corev1.ConditionFalse, v1alpha1.ReasonSourceConflict, fmt.Sprintf(
		"S3Source %s exists and was not made from this claim's annotations, so nothing is loaded from it. Delete that source, and population begins; "+
			"or create the claim with the annotation %s instead of %s to load from it.",
		name,
		v1alpha1.AnnotationSource,
		v1alpha1.AnnotationURL,
	)), true
}
