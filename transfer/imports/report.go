// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/imports/protocol"
)

// report patches the status where it differs, speaks where the verdict changed, and counts. A status
// that was decided on an older one is not written: it would count a mover twice.
func (r *Reconciler) report(ctx context.Context, s protocol.State, d protocol.Decision) error {
	next := protocol.Status(s, d)
	if !equality.Semantic.DeepEqual(s.Import.Status, next) {
		changed := s.Import.DeepCopy()
		changed.Status = next
		patch := client.MergeFromWithOptions(s.Import, client.MergeFromWithOptimisticLock{})
		if err := client.IgnoreNotFound(r.Status().Patch(ctx, changed, patch)); err != nil {
			return fmt.Errorf("patch status: %w", err)
		}
		observeOutcome(s, d, next)
	}
	r.speak(s, d, next)
	return nil
}

// speak makes events of what changed.
func (r *Reconciler) speak(s protocol.State, d protocol.Decision, next v1alpha1.S3ImportStatus) {
	if d.Announce != "" {
		r.Events.Eventf(s.Import, nil, corev1.EventTypeNormal, string(d.Announce), "Import", "%s", d.Message)
	}
	if d.Action == protocol.StartMover && s.Import.Status.Attempts == 0 {
		r.Events.Eventf(s.Import, nil, corev1.EventTypeNormal, string(v1alpha1.ReasonImportStarted), "Import",
			"Loading from S3Source %s into claim %s", s.Source.Name, s.Claim.Name)
	}
	was := meta.FindStatusCondition(s.Import.Status.Conditions, v1alpha1.ConditionComplete)
	is := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionComplete)
	if is == nil || quiet(is.Reason) || was != nil && was.Reason == is.Reason && d.Ended == nil {
		return
	}
	kind := corev1.EventTypeWarning
	if is.Reason == string(v1alpha1.ReasonImported) || is.Reason == string(v1alpha1.ReasonSuspended) {
		kind = corev1.EventTypeNormal
	}
	r.Events.Eventf(s.Import, nil, kind, is.Reason, "Import", "%s", is.Message)
}

// quiet reasons are what is to be expected.
func quiet(reason string) bool {
	return slices.Contains([]v1alpha1.Reason{
		v1alpha1.ReasonImporting, v1alpha1.ReasonQueued, v1alpha1.ReasonClaimImporting,
	}, v1alpha1.Reason(reason))
}
