// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/retention"
)

// verdict is what the condition Exported becomes. The zero value leaves it as it is.
type verdict struct {
	Status  corev1.ConditionStatus
	Reason  v1alpha1.Reason
	Message string
}

// Messages hold what a mover wrote, and are bounded; those of events by the API server, at 1024 bytes.
const (
	maxMessage = 2000
	maxNote    = 1000
)

// judge tells when the last complete export was, where it is, and what failed since.
//
//	annotations    the last export that ended    another is under way    then
//	invalid        any                           any                     False, InvalidAnnotations
//	valid          complete                      any                     True, Exported
//	valid          failed, not made good         any                     False, ExportFailed
//	valid          found no file, one before     any                     False, ExportEmpty
//	               had some, and none since has
//	valid          none                          yes                     Unknown, Exporting
//	valid          none                          no                      what was said of one that is gone stays
//
// What keeps the one that is under way is told as well, and where the last one with files is.
func judge(s state, errs field.ErrorList) verdict {
	last := lastOf(s)
	complete, underWay, emptied := last.complete, last.underWay, tellEmptied(s, last.emptied)
	waits := ""
	if why := keeps(underWay); why != "" {
		waits = fmt.Sprintf(" S3Export %s waits: %s", underWay.Name, why)
	}
	var v verdict
	switch {
	case len(errs) > 0:
		v = verdict{
			corev1.ConditionFalse, v1alpha1.ReasonInvalidAnnotations,
			fmt.Sprintf(
				"The annotations about exports are not valid, so none begins: %v. %s",
				errs.ToAggregate(),
				emptied+tell(s, complete)+waits,
			),
		}
	case last.failed != nil:
		v = verdict{
			corev1.ConditionFalse, v1alpha1.ReasonExportFailed,
			tellFailure(last.failed) + " " + emptied + tell(s, complete) + waits,
		}
	case last.emptied != nil:
		v = verdict{corev1.ConditionFalse, v1alpha1.ReasonExportEmpty, emptied + tell(s, complete) + waits}
	case complete != nil:
		v = verdict{corev1.ConditionTrue, v1alpha1.ReasonExported, tell(s, complete) + waits}
	case underWay != nil && condition(s.Claim).Status != corev1.ConditionTrue:
		v = verdict{
			corev1.ConditionUnknown, v1alpha1.ReasonExporting,
			fmt.Sprintf("S3Export %s has not ended. No complete one is known.%s", underWay.Name, waits),
		}
	case condition(s.Claim).Reason == string(v1alpha1.ReasonInvalidAnnotations):
		v = verdict{corev1.ConditionUnknown, v1alpha1.ReasonNotExported, "No complete S3Export is known."}
	}
	v.Message = cut(v.Message, maxMessage)
	return v
}

// cut shortens a text, never inside a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// condition of a claim; the zero value where there is none.
func condition(claim *corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaimCondition {
	for _, c := range claim.Status.Conditions {
		if c.Type == v1alpha1.ConditionExported {
			return c
		}
	}
	return corev1.PersistentVolumeClaimCondition{}
}

// next is the condition that a verdict makes, and whether it differs.
func (v verdict) next(
	claim *corev1.PersistentVolumeClaim,
	now time.Time,
) (corev1.PersistentVolumeClaimCondition, bool) {
	was := condition(claim)
	if v.Status == "" || was.Status == v.Status && was.Reason == string(v.Reason) && was.Message == v.Message {
		return was, false
	}
	next := corev1.PersistentVolumeClaimCondition{
		Type: v1alpha1.ConditionExported, Status: v.Status, Reason: string(v.Reason), Message: v.Message,
		LastTransitionTime: was.LastTransitionTime,
	}
	if was.Status != v.Status {
		next.LastTransitionTime = metav1.NewTime(now)
	}
	return next, true
}

// filesNote is what the claim is to say of its last complete export that had files; empty where it says so already, or
// no such S3Export is there: what was noted of one that is gone stays, also that it had regular ones, for which links
// alone do not stand.
func filesNote(s state) string {
	last := retention.LastWithFiles(s.Exports, s.Claim.UID)
	if last == nil {
		return ""
	}
	if noted, ok := annotated.FilesOf(s.Claim); ok && noted.Files > 0 && last.Status.Objects == 0 {
		return ""
	}
	note := annotated.Files{
		Claim: s.Claim.UID, Run: last.Name, UID: last.UID, Files: last.Status.Objects, Links: last.Status.Links,
		At: ended(last).UTC(),
	}.String()
	if s.Claim.Annotations[v1alpha1.AnnotationExportedFiles] == note {
		return ""
	}
	return note
}

// statusPatch writes a condition that has changed, and a note that is not empty.
func statusPatch(
	claim *corev1.PersistentVolumeClaim, next corev1.PersistentVolumeClaimCondition, changed bool, files string,
) ([]byte, error) {
	metadata := map[string]any{"uid": claim.UID, "resourceVersion": claim.ResourceVersion}
	if files != "" {
		metadata["annotations"] = map[string]any{v1alpha1.AnnotationExportedFiles: files}
	}
	patch := map[string]any{"metadata": metadata}
	if changed {
		patch["status"] = map[string]any{"conditions": []any{next}}
	}
	return json.Marshal(patch)
}
