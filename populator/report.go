// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/populator/protocol"
)

// report writes what changed for readers: the S3Import, the claim's condition, events.
// The condition comes after the import, because a True one ends all reporting.
func (r *Reconciler) report(ctx context.Context, s protocol.State, d protocol.Decision) error {
	if err := r.reportImport(ctx, s, d); err != nil {
		return fmt.Errorf("report import: %w", err)
	}
	if err := r.reportCondition(ctx, s, d); err != nil {
		return fmt.Errorf("report condition: %w", err)
	}
	for _, e := range protocol.EventsFor(s, d) {
		r.Events.Eventf(s.Claim, nil, e.Type, string(e.Reason), "Populate", "%s", e.Note)
	}
	observeOutcome(s, d)
	return nil
}

// reportCondition patches our one condition by its type, so that no other writer's is
// touched. The resourceVersion turns an old view, which knows nothing of what was told
// already, into a conflict, so that nothing is told twice.
func (r *Reconciler) reportCondition(ctx context.Context, s protocol.State, d protocol.Decision) error {
	next, changed := protocol.Condition(s, d)
	if !changed {
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
func (r *Reconciler) reportImport(ctx context.Context, s protocol.State, d protocol.Decision) error {
	if s.Claim.DeletionTimestamp != nil {
		return nil
	}
	if s.Import == nil {
		if !protocol.ImportDue(s, d) {
			return nil
		}
		return ignoreExisting(r.Create(ctx, protocol.ImportFor(s.Claim)))
	}
	next := protocol.ImportStatus(s, d)
	if equality.Semantic.DeepEqual(s.Import.Status, next) || protocol.TooEarly(s, d, next) {
		return nil
	}
	changed := s.Import.DeepCopy()
	changed.Status = next
	return ignoreGone(r.Status().Patch(ctx, changed, client.MergeFrom(s.Import))) // what is empty now becomes null
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
