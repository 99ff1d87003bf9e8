// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// report patches the status where it differs, speaks where the verdict changed, and counts. A status
// that was decided on an older one is not written: it would count a mover twice.
func (r *Reconciler) report(ctx context.Context, s protocol.State, d protocol.Decision) error {
	if d.Action == protocol.RemoveFinalizer { // The status may be nobody's any more, or another one by now.
		r.announce(s, d)
		d.Announce = ""
	}
	next := protocol.Status(s, d)
	if protocol.Over(s.Export) {
		next.ObservedGeneration = s.Export.Generation // What may still be edited changes nothing of its end.
	}
	if !equality.Semantic.DeepEqual(s.Export.Status, next) {
		changed := s.Export.DeepCopy()
		changed.Status = next
		patch := client.MergeFromWithOptions(s.Export, client.MergeFromWithOptimisticLock{})
		err := r.Status().Patch(ctx, changed, patch)
		switch {
		case apierrors.IsNotFound(err):
			return nil // It was deleted, and its mover with it, which is no failure that anybody should hear of.
		case err != nil:
			return fmt.Errorf("patch status: %w", err)
		}
		observeOutcome(s, d, next)
	}
	r.seen.noteCounted(&s, d)
	r.speak(s, d, next)
	return nil
}

// announce tells of what was done, also where that was the last that kept the export.
func (r *Reconciler) announce(s protocol.State, d protocol.Decision) {
	if d.Announce == "" {
		return
	}
	kind := corev1.EventTypeNormal
	if d.Announce == v1alpha1.ReasonUploadsLeft {
		kind = corev1.EventTypeWarning
	}
	r.Events.Eventf(s.Export, nil, kind, string(d.Announce), "Export", "%s", d.Message)
}

// speak makes events of what changed.
func (r *Reconciler) speak(s protocol.State, d protocol.Decision, next v1alpha1.S3ExportStatus) {
	r.announce(s, d)
	r.speakOfRemains(s, d)
	if d.Action == protocol.StartMover && s.Export.Status.Attempts == 0 {
		r.speakOfStart(s, next.Location)
	}
	was := meta.FindStatusCondition(s.Export.Status.Conditions, v1alpha1.ConditionComplete)
	is := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionComplete)
	if is == nil || quiet(is.Reason) || was != nil && was.Reason == is.Reason && d.Ended == nil {
		return
	}
	kind := corev1.EventTypeWarning
	if is.Reason == string(v1alpha1.ReasonExported) || is.Reason == string(v1alpha1.ReasonSuspended) {
		kind = corev1.EventTypeNormal
	}
	r.Events.Eventf(s.Export, nil, kind, is.Reason, "Export", "%s", is.Message)
}

func (r *Reconciler) speakOfStart(s protocol.State, location string) {
	r.Events.Eventf(s.Export, nil, corev1.EventTypeNormal, string(v1alpha1.ReasonExportStarted), "Export",
		"Exporting claim %s to %s", s.Claim.Name, location)
	if shared := protocol.TellShared(s); shared != "" {
		reason := string(v1alpha1.ReasonDestinationShared)
		r.Events.Eventf(s.Export, nil, corev1.EventTypeWarning, reason, "Export", "%s", shared)
	}
}

// speakOfRemains tells anew where the answer of the API server is another one.
func (r *Reconciler) speakOfRemains(s protocol.State, d protocol.Decision) {
	was := meta.FindStatusCondition(s.Export.Status.Conditions, v1alpha1.ConditionRemovalPending)
	if d.Remains == "" || was != nil && was.Message == d.Remains {
		return
	}
	reason := string(v1alpha1.ReasonRemovalRefused)
	r.Events.Eventf(s.Export, nil, corev1.EventTypeWarning, reason, "Export", "%s", d.Remains)
}

// quiet reasons are what is to be expected.
func quiet(reason string) bool {
	return slices.Contains([]v1alpha1.Reason{
		v1alpha1.ReasonExporting, v1alpha1.ReasonQueued, v1alpha1.ReasonDestinationInUse, v1alpha1.ReasonPreparing,
		v1alpha1.ReasonRemovalRefused, // Of which an event is made as for a run that is over.
	}, v1alpha1.Reason(reason))
}
