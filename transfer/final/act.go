// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// act makes the one step of a decision. Every write but a creation carries a UID or a resourceVersion,
// so that an old view turns into a conflict, never into damage. The decision comes back changed where the
// API server's answer is the user's to act on.
func (r *Reconciler) act(ctx context.Context, s State, d Decision) (Decision, error) {
	if d.Action != Wait {
		log.FromContext(ctx).Info("Exporting before deletion", "step", d.Action, "claim", s.Name, "claimUID", s.UID)
	}
	err := r.write(ctx, s, d.Action)
	switch {
	case err == nil || stale(err):
		return d, err
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return d, errStale // The next pass sees that the namespace goes.
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err),
		apierrors.IsInternalError(err): // As of a webhook of somebody's that does not answer.
		return refused(s, d, err), nil
	}
	return d, err
}

func (r *Reconciler) write(ctx context.Context, s State, a Action) error {
	switch a {
	case AddFinalizer:
		return r.patchClaim(ctx, s.Claim, true)
	case RemoveFinalizer:
		return r.letGo(ctx, s)
	case CreateExportClaim:
		return r.create(ctx, ExportClaim(s))
	case CreateExport:
		return r.create(ctx, Export(s))
	case TakeVolume:
		return r.take(ctx, s)
	case ReturnVolume:
		return r.patchVolume(ctx, s, ReturnPatch)
	case DeleteExport:
		return r.delete(ctx, s.Export)
	case DeleteExportClaim:
		return r.delete(ctx, s.ExportClaim)
	case DeletePod:
		return r.deletePod(ctx, podToEnd(s))
	case Wait:
		return nil
	}
	return fmt.Errorf("unknown action %q", a)
}

// take asks the API server for attachments: our watch of them may be behind, and show none where a
// process that nobody sees any more still writes. What the last run is judged by is noted on the volume.
func (r *Reconciler) take(ctx context.Context, s State) error {
	if !s.taken() {
		attached, err := r.attached(ctx, s.Volume.Name)
		if err != nil {
			return err
		}
		if attached {
			return errStale
		}
	}
	if !s.recorded() {
		if err := r.observeEarlier(ctx, &s); err != nil {
			return err
		}
	}
	return r.patchVolume(ctx, s, TakePatch)
}

// letGo looks at the volume once more: a claim whose volume was taken meanwhile waits for it.
func (r *Reconciler) letGo(ctx context.Context, s State) error {
	if s.Volume != nil {
		v, err := find(ctx, r.Live, "", s.Volume.Name, &corev1.PersistentVolume{})
		if err != nil {
			return err
		}
		if v != nil && v.ResourceVersion != s.Volume.ResourceVersion {
			return errStale
		}
	}
	return r.patchClaim(ctx, s.Claim, false)
}

func (r *Reconciler) patchClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim, held bool) error {
	patch, err := FinalizerPatch(claim, held)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return staleIfGone(r.Patch(ctx, claim.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}

func (r *Reconciler) patchVolume(ctx context.Context, s State, build func(State) ([]byte, error)) error {
	patch, err := build(s)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return staleIfGone(r.Patch(ctx, s.Volume.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}

// create makes an object whose name is derived from the claim's UID; the next pass judges one that is there.
func (r *Reconciler) create(ctx context.Context, object client.Object) error {
	err := r.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return errStale
	}
	return err //nolint:wrapcheck // The caller reads the API server's status.
}

// delete removes an object exactly as it was observed.
func (r *Reconciler) delete(ctx context.Context, object client.Object) error {
	uid, version := object.GetUID(), object.GetResourceVersion()
	return client.IgnoreNotFound(r.Delete(
		ctx, object, client.Preconditions{UID: &uid, ResourceVersion: &version}, client.PropagationPolicy("Background"),
	)) //nolint:wrapcheck // A conflict must stay one.
}

// deletePod asks for no grace where nothing runs any more.
func (r *Reconciler) deletePod(ctx context.Context, pod *corev1.Pod) error {
	options := []client.DeleteOption{client.Preconditions{UID: new(pod.UID)}}
	if moverpod.Stopped(pod) {
		options = append(options, client.GracePeriodSeconds(0))
	}
	return client.IgnoreNotFound(r.Delete(ctx, pod, options...)) //nolint:wrapcheck // A conflict must stay one.
}

func staleIfGone(err error) error {
	if apierrors.IsNotFound(err) {
		return errStale
	}
	return err
}

// refused turns the API server's no into something that can be read.
func refused(s State, d Decision, err error) Decision {
	reason, what := v1alpha1.ReasonWriteRefused, "The API server refused the next step ("+string(d.Action)+")"
	switch d.Action { //nolint:exhaustive // The others have no words of their own.
	case CreateExportClaim:
		reason, what = v1alpha1.ReasonExportClaimRefused, "The claim "+ExportClaimName(
			s.UID,
		)+", which is to have the volume "+
			"while it is exported, was refused"
	case CreateExport:
		reason, what = v1alpha1.ReasonFinalExportRefused, "The S3Export was refused"
	}
	if strings.Contains(err.Error(), "exceeded quota") {
		reason = v1alpha1.ReasonQuotaExceeded
	}
	return Decision{
		Action: Wait, Status: corev1.ConditionFalse, Reason: reason, Recheck: recheck,
		Message: fmt.Sprintf(
			"%s: %v. The claim and its volume are kept, and it is tried again every %s. %s",
			what,
			err,
			recheck,
			howToSkip,
		),
	}
}
