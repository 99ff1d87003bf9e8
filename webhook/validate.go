// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/internal/provisioner"
)

// known are the annotations of ours that a claim may carry.
var known = slices.Sorted(slices.Values(append([]string{
	v1alpha1.AnnotationSource, v1alpha1.AnnotationURL, v1alpha1.AnnotationAutoSize, v1alpha1.AnnotationBind,
	v1alpha1.AnnotationRetry, v1alpha1.AnnotationGrowTo,
}, annotated.Companions...)))

var (
	specPath        = field.NewPath("spec")
	annotationsPath = field.NewPath("metadata", "annotations")
)

// validate tells everything that is wrong with a new claim, each with its fix. What it lets
// through either gets the data that it asks for or says why not in its condition. A claim
// that is being restored is nobody's to judge.
func validate(s observed) field.ErrorList {
	if s.Left != "" {
		return nil
	}
	var errs field.ErrorList
	for _, check := range []func(observed) field.ErrorList{
		checkDataSource, checkDataSourceRef, checkSources, checkURL, checkValues, checkUnknown, checkLabels,
		checkSelected, checkObjects, checkLimit, checkClass,
	} {
		errs = append(errs, check(s)...)
	}
	return errs
}

// checkURL judges the URL and its companions together.
func checkURL(s observed) field.ErrorList {
	if annotated.Asked(s.Claim) {
		_, errs := annotated.Spec(s.Claim)
		return errs
	}
	var errs field.ErrorList
	for _, name := range annotated.Companions {
		if value := s.Claim.Annotations[name]; value != "" {
			errs = append(
				errs,
				field.Forbidden(
					annotationsPath.Key(name),
					"says more about "+v1alpha1.AnnotationURL+", which is not set; set it, or remove this annotation",
				),
			)
		}
	}
	return errs
}

// switches are the annotations with a fixed set of values; empty is as good as absent.
var switches = []struct {
	name   string
	values []string
}{
	{v1alpha1.AnnotationAutoSize, []string{v1alpha1.AutoSizeOn, v1alpha1.AutoSizeOff}},
	{v1alpha1.AnnotationBind, []string{v1alpha1.BindImmediate}},
	{v1alpha1.AnnotationGrowTo, []string{v1alpha1.GrowToInventory}},
}

// checkValues judges the annotations that have a fixed set of values.
func checkValues(s observed) field.ErrorList {
	var errs field.ErrorList
	for _, choice := range switches {
		if value := s.Claim.Annotations[choice.name]; value != "" && !slices.Contains(choice.values, value) {
			errs = append(errs, field.NotSupported(annotationsPath.Key(choice.name), value, choice.values))
		}
	}
	if annotated.AutoSize(s.Claim) && s.Ref.Name == "" {
		errs = append(errs, field.Forbidden(annotationsPath.Key(v1alpha1.AnnotationAutoSize),
			"the claim has no source to take the size from; set "+v1alpha1.AnnotationSource+" or "+v1alpha1.AnnotationURL))
	}
	return errs
}

// checkUnknown refuses a misspelt annotation on a claim that would then stay empty; on one
// that has a source it is a warning.
func checkUnknown(s observed) field.ErrorList {
	if s.Ref.Name != "" {
		return nil
	}
	var errs field.ErrorList
	for _, name := range unknown(s.Claim) {
		errs = append(errs, field.NotSupported(annotationsPath, name, known))
	}
	return errs
}

// mostNames is how many annotations one answer tells of: each takes a sentence, and a claim
// may hold ten thousand.
const mostNames = 5

// written are the annotations that the manager wrote on an earlier claim: they come with one that was
// saved and is created again.
var written = []string{
	v1alpha1.AnnotationNextPrime, v1alpha1.AnnotationExportedNow, v1alpha1.AnnotationExportedTick,
	v1alpha1.AnnotationExportedFiles,
}

// unknown are the first annotations with our prefix that nobody reads. Those of exports are
// reviewed by Exports.
func unknown(claim *corev1.PersistentVolumeClaim) []string {
	var names []string
	for name := range claim.Annotations {
		if strings.HasPrefix(name, v1alpha1.Group+"/") && !strings.HasPrefix(name, v1alpha1.ExportPrefix) &&
			!slices.Contains(written, name) && !slices.Contains(known, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), mostNames)]
}

// checkLabels refuses a claim that names its source by a label and would then stay empty.
func checkLabels(s observed) field.ErrorList {
	if s.Ref.Name != "" || notSelectable(s.Claim) != "" {
		return nil
	}
	var errs field.ErrorList
	for _, name := range mislaid(s.Claim) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "labels").Key(name), s.Claim.Labels[name],
			"is an annotation, not a label, and as a label has no effect; write it to metadata.annotations"))
	}
	return errs
}

// mislaid are the annotations about a source that were written as labels.
func mislaid(claim *corev1.PersistentVolumeClaim) []string {
	var names []string
	for _, name := range append([]string{v1alpha1.AnnotationSource, v1alpha1.AnnotationURL}, annotated.Companions...) {
		if _, ok := claim.Labels[name]; ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkSelected refuses to guess between two sources.
func checkSelected(s observed) field.ErrorList {
	if len(s.Selected) < 2 || s.Skipped != "" {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("metadata", "labels"), fmt.Sprintf(
		"S3Sources %s all select this claim; change spec.claimSelector of all but one, or name one with the annotation %s",
		strings.Join(s.Selected, ", "),
		v1alpha1.AnnotationSource,
	))}
}

// checkObjects: a Block volume is one object.
func checkObjects(s observed) field.ErrorList {
	mode := s.Claim.Spec.VolumeMode
	if s.Source == nil || mode == nil || *mode != corev1.PersistentVolumeBlock || len(s.Source.Spec.Objects) == 1 {
		return nil
	}
	selects := fmt.Sprintf("%d objects", len(s.Source.Spec.Objects))
	if len(s.Source.Spec.Objects) == 0 {
		selects = "a whole prefix"
	}
	return field.ErrorList{field.Invalid(specPath.Child("volumeMode"), *mode, fmt.Sprintf(
		"a Block volume takes exactly one object, but S3Source %s selects %s; list one in its spec.objects, or use Filesystem",
		s.Source.Name,
		selects,
	))}
}

// checkLimit refuses a limit below the size that the volume is to have.
func checkLimit(s observed) field.ErrorList {
	limit, limited := s.Claim.Spec.Resources.Limits[corev1.ResourceStorage]
	need, known := needed(s.Source)
	have, sized := size(s.Claim)
	if !limited || !known || have.Cmp(need) >= 0 || need.Cmp(limit) <= 0 {
		return nil
	}
	if sized && !annotated.AutoSize(s.Claim) && s.Source.Spec.Sizing.OnTooSmall != v1alpha1.TooSmallGrow {
		return nil // It is not to grow.
	}
	return field.ErrorList{
		field.Invalid(specPath.Child("resources", "limits").Key(string(corev1.ResourceStorage)), limit.String(),
			fmt.Sprintf("S3Source %s needs a volume of %s; raise the limit to that, or remove it", s.Ref.Name, need.String())),
	}
}

// checkClass refuses a class whose provisioner would hand out an empty volume.
func checkClass(s observed) field.ErrorList {
	if s.Ref.Name == "" {
		return nil
	}
	if name := s.Claim.Spec.StorageClassName; name != nil && *name == "" {
		return field.ErrorList{field.Invalid(
			specPath.Child("storageClassName"),
			"",
			"cannot be populated: a claim without a class gets no new volume, but may be bound to one that was made by hand, with what is on it; "+
				"name a class of a CSI driver, or leave the field out for the default one",
		)}
	}
	if s.Class == nil {
		return nil
	}
	why := provisioner.Unsupported(s.Class, s.CSI)
	if why == "" {
		return nil
	}
	fix := "use a class of a CSI driver"
	if !strings.HasPrefix(s.Class.Provisioner, provisioner.BuiltIn) {
		fix += fmt.Sprintf(
			", or annotate the class with %s=%s if its provisioner does leave such claims to populators",
			v1alpha1.AnnotationHonoursDataSource,
			v1alpha1.HonoursDataSource,
		)
	}
	return field.ErrorList{
		field.Invalid(specPath.Child("storageClassName"), s.Class.Name, "cannot be populated: "+why+"; "+fix),
	}
}
