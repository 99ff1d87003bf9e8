// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ImportMentioned tells whether a claim has an annotation about imports, known or not, or one that the manager
// wrote for one.
func ImportMentioned(claim *corev1.PersistentVolumeClaim) bool {
	for name := range claim.Annotations {
		if strings.HasPrefix(name, v1alpha1.ImportPrefix) || name == v1alpha1.AnnotationImportedNow {
			return true
		}
	}
	return false
}

// ImportOf is the token by which a claim asks to be refreshed from its source; all that is wrong with it is told at
// once.
func ImportOf(claim *corev1.PersistentVolumeClaim) (token string, errs field.ErrorList) {
	errs = unknownImports(claim.Annotations)
	token = claim.Annotations[v1alpha1.AnnotationImportNow]
	if token == "" {
		return "", errs
	}
	at := path(v1alpha1.AnnotationImportNow)
	if !Ours(claim) && claim.Annotations[v1alpha1.AnnotationSource] == "" && !Asked(claim) {
		errs = append(
			errs,
			field.Forbidden(at, "loads the source anew that spec.dataSourceRef names, and that is no S3Source; "+
				"remove the annotation, and make an S3Import that names a source"),
		)
	}
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		errs = append(errs, field.Forbidden(at,
			"spec.volumeMode is Block, and only the files of a Filesystem can be replaced; remove the annotation"))
	}
	return token, append(errs, checkToken(at, token)...)
}

// checkToken is for what asks for one run.
func checkToken(at *field.Path, token string) field.ErrorList {
	if len(token) <= maxToken && !strings.ContainsFunc(token, unicode.IsControl) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, "", "write a short token that is new for each "+
		"run, such as the time; of at most 253 bytes that can be printed")}
}

// unknownImports are misspelt: nobody would act on them.
func unknownImports(a map[string]string) field.ErrorList {
	var names []string
	for name := range a {
		if strings.HasPrefix(name, v1alpha1.ImportPrefix) && name != v1alpha1.AnnotationImportNow {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var errs field.ErrorList
	for _, name := range names[:min(len(names), mostNames)] {
		errs = append(errs, field.NotSupported(field.NewPath("metadata", "annotations"), name,
			[]string{v1alpha1.AnnotationImportNow}))
	}
	return errs
}
