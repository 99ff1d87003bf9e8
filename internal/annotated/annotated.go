// SPDX-License-Identifier: Apache-2.0

// Package annotated turns the annotations of a claim that names its source by a URL into an
// S3Source. It is pure: admission checks with it what the manager later makes with it, so
// that whatever is admitted can be made. Its rules are those of the S3Source schema.
package annotated

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/s3uri"
)

// Companions are the annotations that say more about a URL and mean nothing without it.
var Companions = []string{
	v1alpha1.AnnotationEndpoint, v1alpha1.AnnotationRegion, v1alpha1.AnnotationSecret,
	v1alpha1.AnnotationServiceAccount, v1alpha1.AnnotationCAConfigMap,
}

// Asked tells whether a claim names its source by a URL.
func Asked(claim *corev1.PersistentVolumeClaim) bool {
	_, ok := claim.Annotations[v1alpha1.AnnotationURL]
	return ok
}

// Mention is an annotation by which a claim asks for data, or "".
func Mention(claim *corev1.PersistentVolumeClaim) string {
	for _, name := range []string{v1alpha1.AnnotationSource, v1alpha1.AnnotationURL} {
		if _, ok := claim.Annotations[name]; ok {
			return name
		}
	}
	return ""
}

// Ours tells whether a claim's dataSourceRef names our kind, so that it is populated by us.
func Ours(claim *corev1.PersistentVolumeClaim) bool {
	ref := claim.Spec.DataSourceRef
	return ref != nil && ref.APIGroup != nil && *ref.APIGroup == v1alpha1.Group && ref.Kind == v1alpha1.KindS3Source
}

// AutoSize tells whether a claim's size is to follow its source.
func AutoSize(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[v1alpha1.AnnotationAutoSize] == v1alpha1.AutoSizeOn
}

// path is where an annotation is in a claim.
func path(annotation string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(annotation)
}

// Spec is what the annotations of a claim describe; all that is wrong with them is told at once.
func Spec(claim *corev1.PersistentVolumeClaim) (v1alpha1.S3SourceSpec, field.ErrorList) {
	at, wrong := sourcePlace.location(claim.Annotations)
	spec := v1alpha1.S3SourceSpec{S3Location: at}
	errs := append(what(claim, &spec), wrong...)
	if AutoSize(claim) {
		spec.Sizing.OnTooSmall = v1alpha1.TooSmallGrow
	}
	return spec, errs
}

// what reads the URL: a prefix, or on a Block volume the one object that it takes.
func what(claim *corev1.PersistentVolumeClaim, spec *v1alpha1.S3SourceSpec) field.ErrorList {
	url, at := claim.Annotations[v1alpha1.AnnotationURL], path(v1alpha1.AnnotationURL)
	uri, err := s3uri.Parse(url)
	if err != nil {
		return field.ErrorList{field.Invalid(at, url, err.Error())}
	}
	spec.Bucket = uri.Bucket
	switch {
	case claim.Spec.VolumeMode == nil || *claim.Spec.VolumeMode != corev1.PersistentVolumeBlock:
		spec.Prefix = uri.Path
	case uri.Path == "" || strings.HasSuffix(uri.Path, "/"):
		return field.ErrorList{
			field.Invalid(
				at,
				url,
				"spec.volumeMode is Block, which takes exactly one object; write its whole key, such as s3://images/disk.img",
			),
		}
	default:
		spec.Objects = []v1alpha1.S3Object{{Key: uri.Path}}
	}
	return nil
}

// fingerprint changes with whatever Source makes of a claim.
func fingerprint(claim *corev1.PersistentVolumeClaim) string {
	h := sha256.New()
	for _, name := range append([]string{v1alpha1.AnnotationURL, v1alpha1.AnnotationAutoSize}, Companions...) {
		fmt.Fprintf(h, "%d:%s", len(claim.Annotations[name]), claim.Annotations[name])
	}
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		fmt.Fprint(h, "block")
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Name is the name of the S3Source of a new claim: the claim's own, so that claims with equal
// annotations share nothing, and a hash. A claim that still has to be given a name by the
// API server is told from others by unique.
func Name(claim *corev1.PersistentVolumeClaim, unique string) string {
	if claim.Name != "" {
		unique = ""
	}
	sum := sha256.Sum256([]byte(claim.Name + "\x00" + unique + "\x00" + fingerprint(claim)))
	return stem(claim) + "-" + hex.EncodeToString(sum[:hashBytes])
}

// Named tells whether Name may have given a claim's source this name.
func Named(claim *corev1.PersistentVolumeClaim, name string) bool {
	if claim.Name != "" {
		return name == Name(claim, "")
	}
	hash, ok := strings.CutPrefix(name, stem(claim)+"-")
	return ok && len(hash) == 2*hashBytes
}

// OwnName tells whether the source of an existing claim may have this name: its own, or the one
// that the API server completed, and a hash. Whatever the annotations said when the claim was
// created, other names are somebody else's to give.
func OwnName(claim *corev1.PersistentVolumeClaim, name string) bool {
	for _, of := range []string{claim.Name, generatedFrom(claim)} {
		hash, ok := strings.CutPrefix(name, trimmed(of)+"-")
		if _, err := hex.DecodeString(hash); of != "" && ok && err == nil && len(hash) == 2*hashBytes {
			return true
		}
	}
	return false
}

// generatedFrom is the generateName that a claim's name was made from, or "": anybody may
// write one beside any name.
func generatedFrom(claim *corev1.PersistentVolumeClaim) string {
	const random, most = 5, 63 // As in apiserver/pkg/storage/names.
	base := claim.GenerateName[:min(len(claim.GenerateName), most-random)]
	if base == "" || len(claim.Name) != len(base)+random || !strings.HasPrefix(claim.Name, base) {
		return ""
	}
	return claim.GenerateName
}

// maxName is the length of the longest name of an object; hashBytes are what Name adds, in hex.
const (
	maxName   = 253
	hashBytes = 5
)

// stem is the beginning of the claim's name, fit to be continued.
func stem(claim *corev1.PersistentVolumeClaim) string {
	if claim.Name == "" {
		return trimmed(claim.GenerateName)
	}
	return trimmed(claim.Name)
}

func trimmed(name string) string {
	name = strings.TrimRight(name[:min(len(name), maxName-1-2*hashBytes)], "-.")
	if name == "" {
		return "claim"
	}
	return name
}

// Source is the S3Source of a claim that was admitted: owned by it, under the name that its
// dataSourceRef has, without an inventory unless the claim's size depends on it.
func Source(claim *corev1.PersistentVolumeClaim) (*v1alpha1.S3Source, field.ErrorList) {
	spec, errs := Spec(claim)
	if len(errs) > 0 {
		return nil, errs
	}
	source := &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{
			Name: claim.Spec.DataSourceRef.Name, Namespace: claim.Namespace,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelClaimUID:  string(claim.UID),
			},
			Annotations: map[string]string{v1alpha1.AnnotationMadeFrom: fingerprint(claim)},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(claim, corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")),
			},
		},
		Spec: spec,
	}
	if !AutoSize(claim) {
		source.Annotations[v1alpha1.AnnotationInventory] = v1alpha1.InventorySkip
	}
	return source, nil
}
