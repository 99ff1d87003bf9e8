// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// sourceRef is which S3Source a claim asks for by itself.
type sourceRef struct {
	// Name of the source; empty when the claim asks for none.
	Name string
	// Existing sources are a user's; the others will be made from the claim's annotations.
	Existing bool
}

// sourceOf prefers an annotation over a reference that is there already: validate compares them.
func sourceOf(claim *corev1.PersistentVolumeClaim, unique string) sourceRef {
	ref := claim.Spec.DataSourceRef
	switch {
	case annotated.Asked(claim) && isSource(ref) && annotated.Named(claim, ref.Name):
		return sourceRef{Name: ref.Name} // Reviewed before, or saved and created again.
	case annotated.Asked(claim):
		return sourceRef{Name: annotated.Name(claim, unique)}
	case claim.Annotations[v1alpha1.AnnotationSource] != "":
		return sourceRef{Name: claim.Annotations[v1alpha1.AnnotationSource], Existing: true}
	case isSource(ref):
		return sourceRef{Name: ref.Name, Existing: true}
	}
	return sourceRef{}
}

// isSource tells whether a reference names our kind.
func isSource(ref *corev1.TypedObjectReference) bool {
	return ref != nil && ref.APIGroup != nil && *ref.APIGroup == v1alpha1.Group && ref.Kind == v1alpha1.KindS3Source
}

// observed is everything that a decision about a new claim rests on.
type observed struct {
	Claim *corev1.PersistentVolumeClaim
	Ref   sourceRef
	// Source is nil when it does not exist yet.
	Source *v1alpha1.S3Source
	// Class is nil when the claim names none, or one that does not exist.
	Class *storagev1.StorageClass
	// CSI tells whether the class's provisioner is a CSI driver.
	CSI bool
	// Selected are the sources whose claimSelector matches, by name.
	Selected []string
	// Skipped tells why a selected claim is left alone.
	Skipped string
	// Left tells why a claim that asks for a source is left alone: somebody restores it.
	Left string
	// Broken are the sources whose claimSelector cannot be read, by name.
	Broken []string
}

// choose picks the source that selects the claim, if exactly one does.
func (s *observed) choose(sources []v1alpha1.S3Source) {
	s.Source, s.Selected, s.Broken = nil, nil, nil
	for i := range sources {
		source := &sources[i]
		if source.Spec.ClaimSelector == nil || source.DeletionTimestamp != nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(source.Spec.ClaimSelector)
		switch {
		case err != nil:
			s.Broken = append(s.Broken, source.Name)
		case selector.Matches(labels.Set(s.Claim.Labels)):
			s.Selected = append(s.Selected, source.Name)
			s.Source = source
		}
	}
	slices.Sort(s.Selected)
	slices.Sort(s.Broken)
	if len(s.Selected) > 0 {
		s.Skipped = notSelectable(s.Claim)
	}
	if len(s.Selected) != 1 || s.Skipped != "" {
		s.Source = nil
		return
	}
	s.Ref = sourceRef{Name: s.Source.Name, Existing: true}
}

// leftAlone tells why a claim that asks for a source is not given one. Whoever names another
// origin restores the claim, annotations and all, and his data wins.
func leftAlone(claim *corev1.PersistentVolumeClaim) string {
	from, ref := claim.Spec.DataSource, claim.Spec.DataSourceRef
	switch {
	case claim.Spec.VolumeName != "":
		return "spec.volumeName is " + claim.Spec.VolumeName
	case ref != nil && group(ref.APIGroup) != v1alpha1.Group && ref.Kind != v1alpha1.KindS3Source:
		return fmt.Sprintf("spec.dataSourceRef names %s %s", ref.Kind, ref.Name)
	case ref == nil && from != nil && group(from.APIGroup) != v1alpha1.Group && from.Kind != v1alpha1.KindS3Source:
		return fmt.Sprintf("spec.dataSource names %s %s", from.Kind, from.Name)
	case claim.Spec.Selector != nil:
		return "spec.selector is set"
	}
	return ""
}

// notSelectable tells why a claim that asked for nothing cannot be given a source.
func notSelectable(claim *corev1.PersistentVolumeClaim) string {
	switch {
	case claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil:
		return "it has a data source of its own"
	case claim.Spec.VolumeName != "":
		return "its spec.volumeName is set"
	case claim.Spec.Selector != nil:
		return "its spec.selector is set"
	case claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == "":
		return `its spec.storageClassName is ""`
	}
	return ""
}
