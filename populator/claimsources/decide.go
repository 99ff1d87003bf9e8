// SPDX-License-Identifier: Apache-2.0

package claimsources

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// action is the one write that a pass may make.
type action string

const (
	wait   action = "wait for"
	create action = "create"
	update action = "update"
)

// decision is what a pass writes and says.
type decision struct {
	Action action
	Source *v1alpha1.S3Source
	// Reason and Note become an event on the claim.
	Reason v1alpha1.Reason
	Note   string
	// Recheck looks again without being woken.
	Recheck time.Duration
}

// collection is how long garbage collection of a predecessor's source may take before we
// look again; its end wakes nobody, because its owner is another claim.
const collection = 2 * time.Second

// decide compares a claim with the source of its name.
//
//	source                               claim                          then
//	any                                  being deleted, or bound        nothing: the data is there, or not wanted
//	none, or ours                        annotations became invalid     tell, nothing else
//	none                                 refers to a name not its own   tell, nothing else: others may wait for it
//	none                                 -                              create it
//	made for a claim of this name        created again                  wait until garbage collection took it
//	somebody's                           -                              tell, nothing else
//	ours, from other annotations         annotations were corrected     update it: population begins again
//	ours                                 -                              nothing, also when it was edited since
func decide(claim *corev1.PersistentVolumeClaim, existing *v1alpha1.S3Source) decision {
	if claim.DeletionTimestamp != nil || claim.Spec.VolumeName != "" {
		return decision{Action: wait}
	}
	if existing != nil && !metav1.IsControlledBy(existing, claim) {
		return foreign(claim, existing)
	}
	want, errs := annotated.Source(claim)
	switch {
	case len(errs) > 0:
		return decision{
			Action: wait,
			Reason: v1alpha1.ReasonInvalidAnnotations,
			Note:   fmt.Sprintf("The annotations that describe the source are no longer valid: %v.", errs.ToAggregate()),
		}
	case existing == nil && !annotated.OwnName(claim, claim.Spec.DataSourceRef.Name):
		return decision{Action: wait, Reason: v1alpha1.ReasonSourceConflict, Note: fmt.Sprintf(
			"S3Source %s is not made from the claim's annotations, because other claims may wait for a source of that name. Remove the annotation %s, or create the claim with it and without spec.dataSourceRef.",
			claim.Spec.DataSourceRef.Name,
			v1alpha1.AnnotationURL,
		)}
	case existing == nil:
		return decision{Action: create, Source: want}
	case existing.DeletionTimestamp != nil,
		existing.Annotations[v1alpha1.AnnotationMadeFrom] == want.Annotations[v1alpha1.AnnotationMadeFrom]:
		return decision{Action: wait}
	}
	return decision{Action: update, Source: remade(existing, want)}
}

// foreign: the name is derived from the claim's, so it is either its predecessor's or chosen on purpose.
func foreign(claim *corev1.PersistentVolumeClaim, existing *v1alpha1.S3Source) decision {
	owner := metav1.GetControllerOf(existing)
	if owner != nil && owner.Kind == "PersistentVolumeClaim" && owner.Name == claim.Name {
		return decision{Action: wait, Recheck: collection}
	}
	return decision{Action: wait, Reason: v1alpha1.ReasonSourceConflict, Note: fmt.Sprintf(
		"S3Source %s was not made for this claim, so its annotations are not applied to it. Delete that source, or create the claim with the annotation %s instead of %s.",
		existing.Name,
		v1alpha1.AnnotationSource,
		v1alpha1.AnnotationURL,
	)}
}

// remade is the existing source with what the annotations say now; what others wrote into
// its metadata stays.
func remade(existing, want *v1alpha1.S3Source) *v1alpha1.S3Source {
	source := existing.DeepCopy()
	source.Spec = want.Spec
	if source.Annotations == nil {
		source.Annotations = map[string]string{}
	}
	delete(source.Annotations, v1alpha1.AnnotationInventory)
	maps.Copy(source.Annotations, want.Annotations)
	return source
}
