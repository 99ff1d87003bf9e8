// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/imports/protocol"
)

// report patches the status where it differs, speaks where the verdict changed, and counts. A status
// that was decided on an older one is not written: it would count a mover twice.
func (r *Reconciler) report(ctx context.Context, s protocol.State, d protocol.Decision) error {
	next := protocol.Status(s, d)
	if protocol.Over(s.Import) {
		next.ObservedGeneration = s.Import.Generation // What may still be edited changes nothing of its end.
	}
	if !equality.Semantic.DeepEqual(s.Import.Status, next) {
		kept, err := r.patch(ctx, s.Import, next)
		switch {
		case apierrors.IsNotFound(err):
			return nil // It was deleted, and its mover with it, which is no failure that anybody should hear of.
		case err != nil:
			return err
		}
		if d.Action == protocol.NoteSelection && kept.Selection == nil {
			return r.refuseOldSchema(s)
		}
		observeOutcome(s, d, next)
	}
	if s.Vanished != nil && d.Ended == nil && !d.Untold { // What was counted now, the cache may not know yet.
		r.seen.NoteDeleted(client.ObjectKeyFromObject(s.Import), s.Vanished.UID)
	}
	r.speak(s, d, next)
	return nil
}

// patch writes the status, and returns what the API server has made of it: it drops what its CRD does not know. What an
// answer lacks stays as it was in the object that it is read into, so that this is another one.
func (r *Reconciler) patch(
	ctx context.Context,
	i *v1alpha1.S3Import,
	next v1alpha1.S3ImportStatus,
) (kept v1alpha1.S3ImportStatus, err error) {
	changed, answer := i.DeepCopy(), &v1alpha1.S3Import{}
	changed.Status = next
	answer.Namespace, answer.Name = i.Namespace, i.Name
	patch := client.MergeFromWithOptions(i, client.MergeFromWithOptimisticLock{})
	data, err := patch.Data(changed)
	if err == nil {
		err = r.Status().Patch(ctx, answer, client.RawPatch(patch.Type(), data))
	}
	if err != nil {
		return kept, fmt.Errorf("patch status: %w", err)
	}
	return answer.Status, nil
}

// errOldSchema: whatever is noted is forgotten.
var errOldSchema = errors.New(
	"the CRD of S3Imports is older than this manager: it does not keep status.selection; upgrade the CRDs")

// refuseOldSchema gives the place of a mover back that is not made before the CRD is upgraded. The error leaves the
// pace to controller-runtime.
func (r *Reconciler) refuseOldSchema(s protocol.State) error {
	r.Places.Release(s.Import.UID)
	r.Events.Eventf(s.Import, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonWriteRefused), "Import",
		"Nothing is loaded for now: %s.", errOldSchema.Error())
	return errOldSchema
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
