// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// report writes what changed for readers: the S3Import, the claim's condition, events. It
// returns when to look again. The condition comes after the import, because a True one ends
// all reporting; but an import that cannot be written holds nothing up.
func (r *Reconciler) report(ctx context.Context, s protocol.State, d protocol.Decision) time.Duration {
	again, held := r.tryImport(ctx, s, d)
	if held {
		return again
	}
	again = sooner(again, d.Recheck)
	condition := write{client.ObjectKeyFromObject(s.Claim), writeCondition}
	if left := r.setbacks.left(condition, s.Now); left > 0 {
		return sooner(again, left)
	}
	wrote, err := r.reportCondition(ctx, s, d)
	switch {
	case apierrors.IsNotFound(err):
		return again // The claim was deleted, and what was made for it goes too: no failure that anybody should hear of.
	case err != nil:
		after, tell := r.failed(ctx, condition, fmt.Errorf("report condition: %w", err), s.Now)
		if stale(err) {
			return after // Whoever knew less than the API server does not know what was told.
		}
		if tell && r.setbacks.tell(condition, string(d.Status)+string(d.Reason)) {
			r.warn(
				s,
				fmt.Sprintf(
					"The API server did not let the manager write the condition %s of this claim: %s",
					v1alpha1.ConditionPopulated,
					words(err),
				),
			)
			r.tell(s, d)
		}
		return sooner(again, after)
	case wrote:
		r.setbacks.succeeded(condition)
	}
	r.tell(s, d)
	observeOutcome(s, d)
	return again
}

// tell makes the events of a decision.
func (r *Reconciler) tell(s protocol.State, d protocol.Decision) {
	for _, e := range protocol.EventsFor(s, d) {
		r.Events.Eventf(s.Claim, nil, e.Type, string(e.Reason), "Populate", "%s", e.Note)
	}
}

// warn tells of a write that was refused where the condition cannot.
func (r *Reconciler) warn(s protocol.State, note string) {
	r.Events.Eventf(s.Claim, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonWriteRefused), "Populate", "%s", note)
}

// tryImport writes the import. It holds the rest up only for what mostly passes by itself, and
// not for long: otherwise a finished import would go on saying that it runs.
func (r *Reconciler) tryImport(
	ctx context.Context,
	s protocol.State,
	d protocol.Decision,
) (again time.Duration, held bool) {
	run := write{client.ObjectKeyFromObject(s.Claim), writeImport}
	if left := r.setbacks.left(run, s.Now); left > 0 {
		return left, r.setbacks.untold(run)
	}
	wrote, err := r.reportImport(ctx, s, d)
	if err == nil {
		if wrote {
			r.setbacks.succeeded(run)
		}
		return 0, false
	}
	after, tell := r.failed(ctx, run, fmt.Errorf("report import: %w", err), s.Now)
	if !tell {
		return after, true
	}
	if r.setbacks.tell(run, string(v1alpha1.ReasonWriteRefused)) {
		r.warn(
			s,
			fmt.Sprintf(
				"The API server did not let the manager write S3Import %s, which shows how far the claim is: %s The claim is "+
					"filled all the same.",
				protocol.ImportName(s.Claim),
				words(err),
			),
		)
	}
	return after, false
}

// sooner of two waits, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// reportCondition patches our one condition by its type, so that no other writer's is
// touched. The resourceVersion turns an old view, which knows nothing of what was told
// already, into a conflict, so that nothing is told twice.
func (r *Reconciler) reportCondition(
	ctx context.Context,
	s protocol.State,
	d protocol.Decision,
) (wrote bool, err error) {
	next, changed := protocol.Condition(s, d)
	if !changed {
		return false, nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.Claim.UID, "resourceVersion": s.Claim.ResourceVersion},
		"status":   map[string]any{"conditions": []any{next}},
	})
	if err != nil {
		return false, fmt.Errorf("encode patch: %w", err)
	}
	return true, r.Status().Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
}

// reportImport makes the S3Import with the first mover and keeps its status true.
func (r *Reconciler) reportImport(ctx context.Context, s protocol.State, d protocol.Decision) (wrote bool, err error) {
	if s.Claim.DeletionTimestamp != nil {
		return false, nil
	}
	if s.Import == nil {
		if !protocol.ImportDue(s, d) {
			return false, nil
		}
		return true, ignoreExisting(r.Create(ctx, protocol.ImportFor(s.Claim)))
	}
	next := protocol.ImportStatus(s, d)
	if equality.Semantic.DeepEqual(s.Import.Status, next) || protocol.TooEarly(s, d, next) {
		return false, nil
	}
	changed := s.Import.DeepCopy()
	changed.Status = next
	return true, ignoreGone(r.Status().Patch(ctx, changed, client.MergeFrom(s.Import))) // what is empty now becomes null
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
