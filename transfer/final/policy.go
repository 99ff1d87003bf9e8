// SPDX-License-Identifier: Apache-2.0

package final

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/selection"
	"github.com/s3populator/s3populator/transfer/template"
)

// onDelete leaves the policies that ask for exports before a deletion, in the order in which they decide.
func onDelete(policies []v1alpha1.S3ExportPolicy) []v1alpha1.S3ExportPolicy {
	policies = slices.DeleteFunc(policies, func(p v1alpha1.S3ExportPolicy) bool { return !p.Spec.OnDelete })
	slices.SortFunc(policies, func(a, b v1alpha1.S3ExportPolicy) int { return selection.Compare(&a, &b) })
	return policies
}

// policy is the one that decides where the claim goes before it is deleted, unless its own annotations do; nil where
// none selects it. Unclear tells that a selector cannot be read, so that it may select the claim, too.
func (s State) policy() (first *v1alpha1.S3ExportPolicy, unclear bool) {
	if s.Claim == nil {
		return nil, false
	}
	for i := range s.Policies {
		selector, err := selection.Of(&s.Policies[i])
		unclear = unclear || err != nil
		if err == nil && first == nil && selector.Selects(s.Claim) {
			first = &s.Policies[i]
		}
	}
	return first, unclear
}

// selected tells whether the claim is to be exported before it goes, because its annotations ask for it, or a policy
// does.
func (s State) selected() bool {
	if s.Claim == nil || block(s.Claim) {
		return false
	}
	policy, _ := s.policy()
	return policy != nil || Selected(s.Claim)
}

// asker names who asks for the export.
func (s State) asker() string {
	policy, _ := s.policy()
	switch {
	case s.Claim != nil && Selected(s.Claim):
		return "its annotation " + v1alpha1.AnnotationExportOnDelete
	case policy != nil:
		return "S3ExportPolicy " + policy.Name
	}
	return "the finalizer " + v1alpha1.FinalizerFinalExport
}

// wish is what is asked for now, or what is wrong with it. Annotations that ask for an export before the deletion win
// over policies; where no policy selects the claim any more, the place in its annotations is used, too.
func wish(s State) (export v1alpha1.S3ExportTemplate, wrong string) {
	if s.Claim == nil {
		return export, "the claim is gone"
	}
	policy, _ := s.policy()
	switch {
	case policy != nil && !Selected(s.Claim):
		export = *policy.Spec.Template.DeepCopy()
		// The schema refuses these together with onDelete: all of the volume is exported, or the claim stays.
		export.Path, export.Include, export.Exclude, export.DryRun = "", nil, nil, false
		// Nobody writes to the volume any more, so that it is read as it is.
		export.Consistency, export.VolumeSnapshotClassName, export.StorageClassName = v1alpha1.ConsistencyLive, "", ""
	case annotated.ExportAsked(s.Claim):
		if export, wrong = annotatedWish(s.Claim); wrong != "" {
			return export, wrong
		}
	default:
		return export, v1alpha1.AnnotationExportTo + " is not set, and no S3ExportPolicy with spec.onDelete selects it"
	}
	// The S3Export reads another claim; the place is to have the name of this one.
	prefix := cmp.Or(export.Destination.Prefix, template.Default)
	export.Destination.Prefix = strings.ReplaceAll(prefix, "{{.Claim}}", s.Name)
	export.TTLSecondsAfterFinished = new(keepExport)
	return export, ""
}

func annotatedWish(claim *corev1.PersistentVolumeClaim) (v1alpha1.S3ExportTemplate, string) {
	asked, errs := annotated.ExportOf(claim)
	if len(errs) == 0 {
		errs = annotated.CheckLast(asked.Prefix) // Also where a policy asked for it, which does not select it any more.
	}
	if len(errs) > 0 {
		return v1alpha1.S3ExportTemplate{}, errs.ToAggregate().Error()
	}
	return v1alpha1.S3ExportTemplate{
		Destination: v1alpha1.ExportDestination{S3Location: asked.Location, Prefix: asked.Prefix},
		UnsafePaths: asked.UnsafePaths,
		Mover:       v1alpha1.Mover{PodSecurityContext: asked.RunAs},
	}, ""
}
