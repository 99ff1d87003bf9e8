// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// warnings tells of what is allowed but may surprise; kubectl prints them. The claim is the
// one that will be created.
func warnings(s observed, claim *corev1.PersistentVolumeClaim) []string {
	all := selectionWarnings(s)
	if s.Ref.Name == "" {
		if claim.Annotations[v1alpha1.AnnotationBind] != "" {
			all = append(all, fmt.Sprintf("annotation %s has no effect: the claim has no S3Source", v1alpha1.AnnotationBind))
		}
		return all
	}
	for _, name := range unknown(claim) {
		all = append(
			all,
			fmt.Sprintf("annotation %s is not known and has no effect; known are %s", name, strings.Join(known, ", ")),
		)
	}
	if s.Left != "" {
		return append(all, fmt.Sprintf("%s: the claim is left alone and not filled from S3Source %s", s.Left, s.Ref.Name))
	}
	if len(s.Selected) == 0 {
		for _, name := range mislaid(claim) {
			all = append(all, fmt.Sprintf("label %s has no effect: it is an annotation", name))
		}
	}
	return append(append(all, classWarnings(s)...), sizeWarnings(s, claim)...)
}

func selectionWarnings(s observed) []string {
	var all []string
	for _, name := range s.Broken {
		all = append(
			all,
			fmt.Sprintf("spec.claimSelector of S3Source %s cannot be read and selects nothing; correct it", name),
		)
	}
	if s.Skipped != "" {
		all = append(
			all,
			fmt.Sprintf(
				"the claim is selected by S3Source %s but left alone, because %s",
				strings.Join(s.Selected, ", "),
				s.Skipped,
			),
		)
	}
	return all
}

func classWarnings(s observed) []string {
	if s.Class == nil {
		return nil
	}
	var all []string
	if policy := s.Class.ReclaimPolicy; policy != nil && *policy == corev1.PersistentVolumeReclaimRetain {
		all = append(
			all,
			fmt.Sprintf(
				"StorageClass %s retains volumes: when the claim is deleted, its volume and the copy of the data are kept until they are deleted manually",
				s.Class.Name,
			),
		)
	}
	return all
}

// sizeWarnings: a population that cannot fit ends with a failure hours later.
func sizeWarnings(s observed, claim *corev1.PersistentVolumeClaim) []string {
	if s.Source == nil || s.Source.Status.Inventory == nil || s.Source.Spec.Sizing.OnTooSmall == v1alpha1.TooSmallGrow ||
		claim.Annotations[v1alpha1.AnnotationGrowTo] == v1alpha1.GrowToInventory {
		return nil
	}
	request, _ := size(claim)
	bytes := s.Source.Status.Inventory.Bytes
	if request.CmpInt64(bytes) >= 0 {
		return nil
	}
	need, _ := needed(s.Source)
	return []string{
		fmt.Sprintf(
			"S3Source %s holds %d bytes, the claim requests %s: the population will fail; request %s, or annotate the claim with %s=%s",
			s.Source.Name,
			bytes,
			request.String(),
			need.String(),
			v1alpha1.AnnotationAutoSize,
			v1alpha1.AutoSizeOn,
		),
	}
}
