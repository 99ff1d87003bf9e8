// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/s3uri"
	"github.com/s3populator/s3populator/transfer/schedule"
	"github.com/s3populator/s3populator/transfer/template"
)

// ExportAnnotations are those by which a claim asks to be exported. All but the first say more
// about it and mean nothing without it.
var ExportAnnotations = []string{
	v1alpha1.AnnotationExportTo, v1alpha1.AnnotationExportEndpoint, v1alpha1.AnnotationExportRegion,
	v1alpha1.AnnotationExportSecret, v1alpha1.AnnotationExportServiceAccount, v1alpha1.AnnotationExportCAConfigMap,
	v1alpha1.AnnotationExportNow, v1alpha1.AnnotationExportSchedule, v1alpha1.AnnotationExportOnDelete,
	v1alpha1.AnnotationExportRunAs, v1alpha1.AnnotationExportUnsafePaths, v1alpha1.AnnotationExportConsistency,
}

// Export is what the annotations of a claim ask for.
type Export struct {
	// Location is the bucket, how it is reached and as whom.
	Location v1alpha1.S3Location
	// Prefix is a template that gives each claim a prefix of its own.
	Prefix string
	// Now is a token that asks for one run; empty for none.
	Now string
	// Schedule is when runs begin, in UTC; empty for never.
	Schedule string
	// UnsafePaths is what becomes of names that cannot be keys; empty leaves it to the default.
	UnsafePaths v1alpha1.UnsafePaths
	// RunAs is as whom the volume is read; nil leaves it to the pods that use the claim.
	RunAs *corev1.PodSecurityContext
	// Consistency is how a volume in use is read; empty is Live.
	Consistency v1alpha1.Consistency
}

// Lengths of a token, and of a template by the schema of S3Export.
const (
	maxToken  = 253
	maxPrefix = 512
)

var exportPlace = annotations{
	endpoint: v1alpha1.AnnotationExportEndpoint, region: v1alpha1.AnnotationExportRegion,
	secret: v1alpha1.AnnotationExportSecret, account: v1alpha1.AnnotationExportServiceAccount,
	caConfigMap: v1alpha1.AnnotationExportCAConfigMap,
}

// ExportAsked tells whether a claim says where it is to be exported to.
func ExportAsked(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[v1alpha1.AnnotationExportTo] != ""
}

// ExportOnDeleteAsked tells whether a claim asks to be exported before it goes, and says where to. Without a place a
// policy may decide.
func ExportOnDeleteAsked(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[v1alpha1.AnnotationExportOnDelete] == v1alpha1.ExportOnDelete && ExportAsked(claim)
}

// ExportMentioned tells whether a claim has an annotation about exports, known or not, or one that the
// manager wrote for one.
func ExportMentioned(claim *corev1.PersistentVolumeClaim) bool {
	for name := range claim.Annotations {
		if strings.HasPrefix(name, v1alpha1.ExportPrefix) || name == v1alpha1.AnnotationExportedNow ||
			name == v1alpha1.AnnotationExportedTick {
			return true
		}
	}
	return false
}

// ExportOf is what the annotations of a claim ask for; all that is wrong with them is told at once.
func ExportOf(claim *corev1.PersistentVolumeClaim) (Export, field.ErrorList) {
	a := claim.Annotations
	errs := unknownExports(a)
	if !ExportAsked(claim) {
		return Export{}, append(errs, companionsOfNoExport(a)...)
	}
	e := Export{
		Now: a[v1alpha1.AnnotationExportNow], Schedule: a[v1alpha1.AnnotationExportSchedule],
		Consistency: v1alpha1.Consistency(a[v1alpha1.AnnotationExportConsistency]),
	}
	errs = append(errs, oneOf(a, v1alpha1.AnnotationExportConsistency, string(v1alpha1.ConsistencyLive),
		string(v1alpha1.ConsistencySnapshot), string(v1alpha1.ConsistencyClone))...)
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		errs = append(errs, field.Forbidden(path(v1alpha1.AnnotationExportTo),
			"spec.volumeMode is Block, and only the files of a Filesystem can be exported; remove the annotation"))
	}
	var wrong field.ErrorList
	e.Location, e.Prefix, wrong = exportPlaceOf(a)
	errs = append(errs, wrong...)
	if e.Schedule != "" {
		if _, err := schedule.Parse(e.Schedule, ""); err != nil {
			errs = append(errs, field.Invalid(path(v1alpha1.AnnotationExportSchedule), e.Schedule, err.Error()))
		}
	}
	var err error
	if e.RunAs, err = runAs(a[v1alpha1.AnnotationExportRunAs]); err != nil {
		errs = append(
			errs,
			field.Invalid(path(v1alpha1.AnnotationExportRunAs), a[v1alpha1.AnnotationExportRunAs], err.Error()),
		)
	}
	e.UnsafePaths = v1alpha1.UnsafePaths(a[v1alpha1.AnnotationExportUnsafePaths])
	errs = append(errs, oneOf(a, v1alpha1.AnnotationExportUnsafePaths, string(v1alpha1.UnsafePathsFail),
		string(v1alpha1.UnsafePathsSkip))...)
	errs = append(errs, oneOf(a, v1alpha1.AnnotationExportOnDelete, v1alpha1.ExportOnDelete, "false")...)
	if ExportOnDeleteAsked(claim) && len(wrong) == 0 {
		errs = append(errs, CheckLast(e.Prefix)...)
	}
	return e, append(errs, checkToken(path(v1alpha1.AnnotationExportNow), e.Now)...)
}

// CheckLast refuses a prefix below which the next claim of the same name would write over the export of one that was
// deleted, which is all that is left of it.
func CheckLast(prefix string) field.ErrorList {
	if template.PerRun(prefix) {
		return nil
	}
	return field.ErrorList{field.Forbidden(path(v1alpha1.AnnotationExportOnDelete),
		"a later claim of the same name would overwrite what is left of this one; add {{.Run}} to the prefix in "+
			v1alpha1.AnnotationExportTo+", or leave out all {{}}: then "+template.Default+" is added")}
}

// oneOf refuses other values of an annotation that is set.
func oneOf(a map[string]string, name string, values ...string) field.ErrorList {
	if a[name] == "" || slices.Contains(values, a[name]) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path(name), a[name], values)}
}

// runAs never has an fsGroup: the kubelet would change the group of every file.
func runAs(text string) (*corev1.PodSecurityContext, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // Nothing was said, which is no error.
	}
	userText, groupText, both := strings.Cut(text, ":")
	user, err := strconv.ParseUint(userText, 10, 31)
	group := user
	if err == nil && both {
		group, err = strconv.ParseUint(groupText, 10, 31)
	}
	if err != nil {
		return nil, errors.New("write the number of a user, or of a user and of a group, such as 1000 or 1000:2000")
	}
	return &corev1.PodSecurityContext{
		RunAsUser: new(int64(user)), RunAsGroup: new(int64(group)), RunAsNonRoot: new(user != 0),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}, nil
}

func exportPlaceOf(a map[string]string) (v1alpha1.S3Location, string, field.ErrorList) {
	to, at := a[v1alpha1.AnnotationExportTo], path(v1alpha1.AnnotationExportTo)
	location, errs := exportPlace.location(a)
	uri, err := s3uri.Parse(to)
	if err != nil {
		return location, "", append(field.ErrorList{field.Invalid(at, to, err.Error())}, errs...)
	}
	location.Bucket = uri.Bucket
	prefix := uri.Path
	if !strings.Contains(prefix, "{{") {
		if prefix != "" && !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
		prefix += template.Default
	}
	if len(prefix) > maxPrefix {
		return location, "", append(field.ErrorList{field.TooLong(at, "", maxPrefix)}, errs...)
	}
	if err := template.Check(prefix); err != nil {
		return location, "", append(field.ErrorList{field.Invalid(at, to, err.Error())}, errs...)
	}
	if !template.PerClaim(prefix) {
		errs = append(field.ErrorList{field.Invalid(at, to, "claims with the same annotation would overwrite each other's "+
			"objects; add {{.Claim}} to the prefix, or leave out all {{}}: then "+template.Default+" is added")}, errs...)
	}
	return location, prefix, errs
}

// unknownExports are misspelt: nobody would act on them.
func unknownExports(a map[string]string) field.ErrorList {
	var names []string
	for name := range a {
		if strings.HasPrefix(name, v1alpha1.ExportPrefix) && !slices.Contains(ExportAnnotations, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var errs field.ErrorList
	for _, name := range names[:min(len(names), mostNames)] {
		errs = append(errs, field.NotSupported(field.NewPath("metadata", "annotations"), name, ExportAnnotations))
	}
	return errs
}

// mostNames are told of at once: a claim may hold ten thousand.
const mostNames = 5

func companionsOfNoExport(a map[string]string) field.ErrorList {
	var errs field.ErrorList
	for _, name := range ExportAnnotations[1:] {
		if a[name] != "" {
			errs = append(errs, field.Forbidden(path(name),
				"says more about "+v1alpha1.AnnotationExportTo+", which is not set; set it, or remove this annotation"))
		}
	}
	return errs
}
