// SPDX-License-Identifier: Apache-2.0

package claimsources

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// quietFor is how long a Pending claim may be left without a word: a write while the
// scheduler is about to bind a claim makes it begin again.
const quietFor = 15 * time.Second

// verdict is what the condition of a claim with annotations of ours, but without a
// dataSourceRef of ours, becomes. Nobody populates such a claim.
type verdict struct {
	// Status is empty where there is nothing to say; a condition of ours is then removed.
	Status  corev1.ConditionStatus
	Reason  v1alpha1.Reason
	Message string
	// Recheck says nothing yet, and looks again.
	Recheck time.Duration
}

// judge tells why a claim will not be filled.
//
//	claim                                          then
//	no annotation about a source                   nothing to say
//	another data source, selector, own volumeName  LeftAlone: it is being restored
//	bound to a volume that Kubernetes chose        NotPopulated: that volume was empty
//	Pending, and new                               nothing yet
//	Pending                                        NotPopulated: its volume will be empty
func judge(claim *corev1.PersistentVolumeClaim, now time.Time) verdict {
	annotation := annotated.Mention(claim)
	if annotation == "" {
		return verdict{}
	}
	if origin := origin(claim); origin != "" {
		return verdict{Status: corev1.ConditionUnknown, Reason: v1alpha1.ReasonLeftAlone, Message: fmt.Sprintf(
			"%s, as a restore does, which takes precedence over the annotation %s. The claim is left alone: nothing is "+
				"loaded from S3.",
			origin,
			annotation,
		)}
	}
	why := fmt.Sprintf(
		"The claim carries the annotation %s, but has no spec.dataSourceRef: admission was not installed when it was "+
			"created, or the annotation was added later.",
		annotation,
	)
	if volume := claim.Spec.VolumeName; volume != "" {
		return verdict{Status: corev1.ConditionFalse, Reason: v1alpha1.ReasonNotPopulated, Message: fmt.Sprintf(
			"%s So volume %s was empty when it was bound, and holds what was written since; nothing is loaded from S3. To "+
				"have one filled, create another claim; to keep this one as it is, remove the annotation.",
			why,
			volume,
		)}
	}
	if left := quietFor - now.Sub(claim.CreationTimestamp.Time); left > 0 {
		return verdict{Recheck: left}
	}
	return verdict{Status: corev1.ConditionFalse, Reason: v1alpha1.ReasonNotPopulated, Message: why +
		" So its volume will be empty. dataSourceRef cannot be added to a claim: create another one, or remove the annotation."}
}

// origin describes where the data of a claim comes from, if somebody said so.
func origin(claim *corev1.PersistentVolumeClaim) string {
	spec := claim.Spec
	switch {
	case spec.DataSourceRef != nil:
		return fmt.Sprintf("spec.dataSourceRef names %s %s", spec.DataSourceRef.Kind, spec.DataSourceRef.Name)
	case spec.DataSource != nil:
		return fmt.Sprintf("spec.dataSource names %s %s", spec.DataSource.Kind, spec.DataSource.Name)
	case spec.Selector != nil:
		return "spec.selector is set"
	case spec.VolumeName != "" && claim.Annotations[v1alpha1.AnnotationBoundByController] == "":
		return "spec.volumeName was set to " + spec.VolumeName
	}
	return ""
}
