// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Provisioners that never leave a claim to a populator.
const (
	noProvisioner      = "kubernetes.io/no-provisioner"
	builtInPrefix      = "kubernetes.io/"
	annotationMigrated = "pv.kubernetes.io/migrated-to"
)

// warnings tells of what is allowed but may surprise; kubectl prints them. The claim is the
// one that will be created.
func warnings(s scene, claim *corev1.PersistentVolumeClaim) []string {
	all := selectionWarnings(s)
	if s.Ask.Name == "" {
		if claim.Annotations[v1alpha1.AnnotationBind] != "" {
			all = append(all, fmt.Sprintf("annotation %s has no effect: the claim has no S3Source", v1alpha1.AnnotationBind))
		}
		return all
	}
	for _, name := range unknown(claim) {
		all = append(all, fmt.Sprintf("annotation %s is not known and has no effect; known are %s", name, strings.Join(known, ", ")))
	}
	if claim.Spec.VolumeName != "" {
		return append(all, fmt.Sprintf("spec.volumeName is %s: the claim is bound to that volume and not filled from S3Source %s", claim.Spec.VolumeName, s.Ask.Name))
	}
	return append(append(all, classWarnings(s)...), sizeWarnings(s, claim)...)
}

func selectionWarnings(s scene) []string {
	var all []string
	for _, name := range s.Broken {
		all = append(all, fmt.Sprintf("spec.claimSelector of S3Source %s cannot be read and selects nothing; correct it", name))
	}
	if s.Skipped != "" {
		all = append(all, fmt.Sprintf("the claim is selected by S3Source %s but left alone, because %s", strings.Join(s.Selected, ", "), s.Skipped))
	}
	return all
}

func classWarnings(s scene) []string {
	if s.Class == nil {
		return nil
	}
	var all []string
	if why := ignorance(s.Class, s.CSI); why != "" {
		all = append(all, fmt.Sprintf("StorageClass %s cannot be populated: %s; use a class of a CSI driver", s.Class.Name, why))
	}
	if policy := s.Class.ReclaimPolicy; policy != nil && *policy == corev1.PersistentVolumeReclaimRetain {
		all = append(all, fmt.Sprintf("StorageClass %s retains volumes: when the claim is deleted, its volume and the copy of the data stay until somebody deletes them", s.Class.Name))
	}
	return all
}

// ignorance tells why a class's provisioner would make an empty volume, or none.
func ignorance(class *storagev1.StorageClass, csi bool) string {
	switch {
	case class.Provisioner == noProvisioner:
		return "its volumes are made by hand"
	case strings.HasPrefix(class.Provisioner, builtInPrefix) && class.Annotations[annotationMigrated] == "":
		return "its provisioner " + class.Provisioner + " is built in and ignores dataSourceRef"
	case strings.HasPrefix(class.Provisioner, builtInPrefix) || csi:
		return ""
	}
	return "no CSIDriver object named " + class.Provisioner + " exists, and a provisioner that is not CSI ignores dataSourceRef"
}

// sizeWarnings: a population that cannot fit ends with a failure hours later.
func sizeWarnings(s scene, claim *corev1.PersistentVolumeClaim) []string {
	if s.Source == nil || s.Source.Status.Inventory == nil || s.Source.Spec.Sizing.OnTooSmall == v1alpha1.TooSmallGrow {
		return nil
	}
	request, _ := size(claim)
	bytes := s.Source.Status.Inventory.Bytes
	if request.CmpInt64(bytes) >= 0 {
		return nil
	}
	need, _ := needed(s.Source)
	return []string{fmt.Sprintf("S3Source %s holds %d bytes, the claim requests %s: the population will fail; request %s, or annotate the claim with %s=%s",
		s.Source.Name, bytes, request.String(), need.String(), v1alpha1.AnnotationAutoSize, v1alpha1.AutoSizeOn)}
}
