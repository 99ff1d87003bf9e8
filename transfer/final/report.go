// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// report writes the claim's condition, and an event for a new reason. A claim that goes has no use for a
// condition; of one that goes without its export an event on the volume tells, because in a namespace that is
// being deleted none can be made.
func (r *Reconciler) report(ctx context.Context, s State, d Decision) error {
	if s.Claim == nil {
		r.tellVolume(s, d)
		return nil
	}
	next, changed := condition(s, d)
	if !changed {
		return nil
	}
	if d.Action == RemoveFinalizer {
		r.Events.Eventf(s.Claim, nil, eventType(d), string(d.Reason), "Export", "%s", d.Message)
		if d.Reason == v1alpha1.ReasonFinalExportSkipped && s.Volume != nil {
			r.Events.Eventf(s.Volume, nil, eventType(d), string(d.Reason), "Export", "%s", d.Message)
		}
		return nil
	}
	if next.LastTransitionTime.IsZero() {
		next.LastTransitionTime = metav1.NewTime(r.Now())
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.Claim.UID, "resourceVersion": s.Claim.ResourceVersion},
		"status":   map[string]any{"conditions": []any{next}},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	err = r.Status().Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
	if err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // A conflict must stay one.
	}
	if newReason(s, d) {
		r.Events.Eventf(s.Claim, nil, eventType(d), string(d.Reason), "Export", "%s", d.Message)
	}
	return nil
}

// tellVolume tells of a claim that was forced away: what is wrong is told once, as an event of its volume.
func (r *Reconciler) tellVolume(s State, d Decision) {
	if s.Volume == nil || d.Reason == "" || d.Status != corev1.ConditionFalse {
		r.told.Delete(s.UID)
		return
	}
	if was, ok := r.told.Swap(s.UID, d.Reason); !ok || was != d.Reason {
		r.Events.Eventf(s.Volume, nil, eventType(d), string(d.Reason), "Export", "%s", d.Message)
	}
}

func newReason(s State, d Decision) bool {
	for _, was := range s.Claim.Status.Conditions {
		if was.Type == v1alpha1.ConditionFinalExport {
			return was.Reason != string(d.Reason)
		}
	}
	return true
}

// absent tells that an object was not found; a nil pointer in an interface is not nil.
func absent(o client.Object) bool {
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		return o == nil
	case *v1alpha1.S3Export:
		return o == nil
	}
	return o == nil
}
