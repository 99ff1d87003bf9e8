// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// messageLimit keeps a condition readable; events are cut by the API server at 1024 bytes.
const messageLimit = 1000

// report writes what changed for readers: the S3Import, the claim's condition, events.
// The condition comes after the import, because a True one ends all reporting.
func (r *Reconciler) report(ctx context.Context, s state, d decision) error {
	if err := r.reportImport(ctx, s, d); err != nil {
		return fmt.Errorf("report import: %w", err)
	}
	if err := r.reportCondition(ctx, s, d); err != nil {
		return fmt.Errorf("report condition: %w", err)
	}
	for _, e := range eventsFor(s, d) {
		r.Events.Eventf(s.Claim, nil, e.Type, string(e.Reason), "Populate", "%s", cut(e.Note))
	}
	observeOutcome(s, d)
	return nil
}

// reportCondition patches our one condition by its type, so that no other writer's is
// touched. The resourceVersion turns an old view, which knows nothing of what was told
// already, into a conflict, so that nothing is told twice.
func (r *Reconciler) reportCondition(ctx context.Context, s state, d decision) error {
	if d.Reason == "" || s.Claim.DeletionTimestamp != nil {
		return nil
	}
	was, _ := populated(s.Claim)
	next := corev1.PersistentVolumeClaimCondition{
		Type: v1alpha1.ConditionPopulated, Status: d.Status, Reason: string(d.Reason), Message: cut(d.Message),
		LastTransitionTime: was.LastTransitionTime,
	}
	if was.Status != next.Status {
		next.LastTransitionTime = metav1.NewTime(s.Now)
	}
	if equality.Semantic.DeepEqual(was, next) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.Claim.UID, "resourceVersion": s.Claim.ResourceVersion},
		"status":   map[string]any{"conditions": []any{next}},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return client.IgnoreNotFound(r.Status().Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch)))
}

// reportImport makes the S3Import with the first mover and keeps its status true.
func (r *Reconciler) reportImport(ctx context.Context, s state, d decision) error {
	if s.Claim.DeletionTimestamp != nil {
		return nil
	}
	if s.Import == nil {
		if !importDue(s, d) {
			return nil
		}
		return ignoreExisting(r.Create(ctx, importFor(s.Claim)))
	}
	next := importStatus(s, d)
	if equality.Semantic.DeepEqual(s.Import.Status, next) || tooEarly(s, d, next) {
		return nil
	}
	changed := s.Import.DeepCopy()
	changed.Status = next
	return ignoreGone(r.Status().Patch(ctx, changed, client.MergeFrom(s.Import))) // what is empty now becomes null
}

// importDue tells that an import is to be made: with its mover, or when that pass was
// interrupted, but not while our cache may only not show it yet.
func importDue(s state, d decision) bool {
	return d.Action == startMover || s.Prime != nil && filled(s.Prime) ||
		s.Mover != nil && s.Now.Sub(s.Mover.CreationTimestamp.Time) > settle
}

// tooEarly tells that all there is to say of an import is what the claim's condition is
// silent of too: that its mover was made a moment ago, or that its volume is handed over.
func tooEarly(s state, d decision, next v1alpha1.S3ImportStatus) bool {
	if d.Reason != "" {
		return false
	}
	return next.Phase == v1alpha1.ImportSucceeded || s.Import.Status.Phase == "" && next.Progress == nil
}

// ignoreGone: what is not there needs no report. A conflict means that a claim of the
// same name but another UID is there now; its own pass reports it.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func ignoreExisting(err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}

func cut(message string) string {
	if len(message) <= messageLimit {
		return message
	}
	n := messageLimit
	for n > 0 && message[n]&0xC0 == 0x80 { // Never inside a character.
		n--
	}
	return message[:n] + "…"
}
