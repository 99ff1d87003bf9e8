// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// actTemporary makes or removes one of the things that an export has for itself.
func (r *Reconciler) actTemporary(
	ctx context.Context, s protocol.State, d protocol.Decision,
) (protocol.Decision, error) {
	t := s.Temporary
	switch d.Action { //nolint:exhaustive // The others are act's.
	case protocol.CreateSnapshot:
		o := newSnapshot(protocol.TemporaryMeta(s), s.Claim.Name, protocol.SnapshotClassFor(s))
		return temporaryRefused(s, d, v1alpha1.ReasonSnapshotRefused, "VolumeSnapshot "+o.GetName(), r.Create(ctx, o))
	case protocol.CreateTemporaryClaim:
		o := protocol.TemporaryClaim(s)
		return temporaryRefused(s, d, v1alpha1.ReasonTemporaryClaimRefused, "claim "+o.Name, r.Create(ctx, o))
	case protocol.StartConsumer:
		pod, err := protocol.Consumer(s, r.Options.mover())
		if err != nil {
			return d, err //nolint:wrapcheck // Reconcile names the action.
		}
		return refused(s, d, "pod "+pod.Name, r.create(ctx, s.Export, pod))
	case protocol.DeleteConsumer:
		return removalRefused(s, d, "delete pod "+t.Consumer.Name, movers.Delete(ctx, r.Client, t.Consumer))
	case protocol.KeepVolume:
		what := "set the reclaim policy of volume " + t.Volume.Name + " to Retain"
		return removalRefused(s, d, what, r.keepVolume(ctx, t.Volume))
	case protocol.DeleteTemporaryClaim:
		// As it was judged: one that was bound since may have a volume that is not to go with it.
		seen := client.Preconditions{UID: &t.Claim.UID, ResourceVersion: &t.Claim.ResourceVersion}
		return removalRefused(s, d, "delete claim "+t.Claim.Name, r.deleteExactly(ctx, t.Claim, seen))
	case protocol.DeleteSnapshot:
		snapshot := snapshotNamed(s.Export.Namespace, t.Snapshot.Name)
		err := r.deleteExactly(ctx, snapshot, client.Preconditions{UID: &t.Snapshot.UID})
		return removalRefused(s, d, "delete VolumeSnapshot "+t.Snapshot.Name, err)
	}
	return d, fmt.Errorf("unknown action %q", d.Action)
}

func (r *Reconciler) deleteExactly(ctx context.Context, o client.Object, as client.Preconditions) error {
	err := r.Delete(ctx, o, as)
	return client.IgnoreNotFound(err) //nolint:wrapcheck // Reconcile names the action.
}

// keepVolume: a volume that was there before outlives the claim that it was bound to.
func (r *Reconciler) keepVolume(ctx context.Context, v *corev1.PersistentVolume) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": v.ResourceVersion},
		"spec":     map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimRetain},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	err = r.Patch(ctx, v.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	return client.IgnoreNotFound(err) //nolint:wrapcheck // Reconcile names the action.
}

// temporaryRefused tells what the API server said to an object. One that is there by now is judged by the next pass.
func temporaryRefused(
	s protocol.State, d protocol.Decision, reason v1alpha1.Reason, what string, err error,
) (protocol.Decision, error) {
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		return d, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return protocol.Decision{Action: protocol.Wait}, nil
	case d.Action == protocol.CreateSnapshot && unavailable(err):
		reason = v1alpha1.ReasonSnapshotsUnavailable
	case apierrors.IsConflict(err), movers.Passing(err) && s.Now.Sub(s.Export.CreationTimestamp.Time) < passingPatience:
		return d, err
	case strings.Contains(err.Error(), "exceeded quota"):
		reason = v1alpha1.ReasonQuotaExceeded
	}
	return protocol.Refused(reason, fmt.Sprintf(
		"The API server did not let the manager create %s, which the volume is to be read from: %s.",
		what,
		movers.Words(err),
	)), nil
}

// removalRefused tells what the API server said to a removal. What mostly passes by itself is an error at first, which
// leaves the pace to controller-runtime.
func removalRefused(s protocol.State, d protocol.Decision, what string, err error) (protocol.Decision, error) {
	switch {
	case err == nil:
		return d, nil
	case apierrors.IsConflict(err), movers.Passing(err) && s.Now.Sub(protocol.RemovedSince(s)) < passingPatience:
		return d, err
	}
	why := fmt.Sprintf("The API server did not let the manager %s: %s.", what, movers.Words(err))
	return protocol.Remaining(s, why), nil
}
