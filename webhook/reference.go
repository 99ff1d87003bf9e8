// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// checkDataSource refuses our kind in the field where the API server would drop it and
// have an empty volume made.
func checkDataSource(s observed) field.ErrorList {
	from, ref, at := s.Claim.Spec.DataSource, s.Claim.Spec.DataSourceRef, specPath.Child("dataSource")
	switch {
	case from == nil:
		return nil
	case group(from.APIGroup) == "" && from.Kind == v1alpha1.KindS3Source:
		return field.ErrorList{field.Required(at.Child("apiGroup"), missingGroup)}
	case group(from.APIGroup) != v1alpha1.Group:
		return nil // Another project's kind.
	case from.Kind != v1alpha1.KindS3Source:
		return field.ErrorList{field.NotSupported(at.Child("kind"), from.Kind, kinds)}
	case ref == nil:
		return field.ErrorList{
			field.Invalid(
				at,
				from.Kind+" "+from.Name,
				"the API server would ignore it and the volume would be empty; write it as spec.dataSourceRef instead",
			),
		}
	case !isSource(ref) || ref.Name != from.Name:
		return field.ErrorList{
			field.Invalid(at, from.Kind+" "+from.Name, "differs from spec.dataSourceRef; remove spec.dataSource"),
		}
	}
	return nil
}

// kinds of ours that a claim may be filled from.
var kinds = []string{v1alpha1.KindS3Source}

const missingGroup = "write " + v1alpha1.Group +
	"; without it the API server would ignore the data source and the volume would be empty"

func group(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}

// checkDataSourceRef refuses a reference that the API server would drop.
func checkDataSourceRef(s observed) field.ErrorList {
	ref, at := s.Claim.Spec.DataSourceRef, specPath.Child("dataSourceRef")
	switch {
	case ref == nil:
		return nil
	case group(ref.APIGroup) == "" && ref.Kind == v1alpha1.KindS3Source:
		return field.ErrorList{field.Required(at.Child("apiGroup"), missingGroup)}
	case group(ref.APIGroup) == v1alpha1.Group && ref.Kind != v1alpha1.KindS3Source:
		return field.ErrorList{field.NotSupported(at.Child("kind"), ref.Kind, kinds)}
	case isSource(ref) && ref.Namespace != nil && *ref.Namespace != "":
		return field.ErrorList{field.Invalid(
			at.Child("namespace"),
			*ref.Namespace,
			"a source must be in the claim's own namespace, and with this field set the API server may ignore the whole "+
				"reference; create the S3Source there and leave the field out",
		)}
	}
	return nil
}

// checkSources refuses two answers to the question where the data comes from.
func checkSources(s observed) field.ErrorList {
	claim := s.Claim
	name, named := claim.Annotations[v1alpha1.AnnotationSource]
	url, annotation, value := annotated.Asked(claim), v1alpha1.AnnotationSource, name
	if url {
		annotation, value = v1alpha1.AnnotationURL, claim.Annotations[v1alpha1.AnnotationURL]
	}
	at := annotationsPath.Key(annotation)
	switch {
	case !named && !url:
		return nil
	case named && url:
		return field.ErrorList{field.Invalid(at, value, "excludes "+v1alpha1.AnnotationSource+"; remove one of them")}
	case named && len(validation.NameIsDNSSubdomain(name, false)) > 0:
		return field.ErrorList{
			field.Invalid(at, value, "is not the name of an S3Source of this namespace; set it, or remove the annotation"),
		}
	}
	if other := otherSource(claim, s.Ref.Name); other != "" {
		return field.ErrorList{field.Invalid(at, value, "conflicts with "+other+"; remove one of them")}
	}
	return nil
}

// otherSource describes an S3Source in the claim's spec that is not the named one.
func otherSource(claim *corev1.PersistentVolumeClaim, name string) string {
	if ref := claim.Spec.DataSourceRef; isSource(ref) && ref.Name != name {
		return fmt.Sprintf("spec.dataSourceRef, which names %s %s", ref.Kind, ref.Name)
	}
	return ""
}
