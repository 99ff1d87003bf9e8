// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

// errForeign tells that a name of ours is taken by something that we did not make.
var errForeign = errors.New("made by someone else")

// create makes an object whose name is derived from the claim's UID. One that is there
// already is asked for live: the cache of pods shows only ours.
func (r *Reconciler) create(ctx context.Context, claim *corev1.PersistentVolumeClaim, object client.Object) error {
	made := maps.Clone(object.GetLabels())
	err := r.Create(ctx, object)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err //nolint:wrapcheck // refused reads the API server's status.
	}
	exists := err != nil
	if exists {
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return staleIfGone(err)
		}
	}
	name, changed := protocol.ChangedLabel(object, claim, made)
	switch {
	case changed:
		return &relabelledError{object, name, made[name]}
	case !exists:
		return nil
	case !protocol.OwnedBy(object, claim):
		return fmt.Errorf("%s %w", object.GetName(), errForeign)
	}
	return errStale
}

// relabelledError tells of an object that we made and that a policy changed on its way in.
type relabelledError struct {
	object      client.Object
	label, want string
}

func (e *relabelledError) Error() string {
	return fmt.Sprintf("label %s of %s was changed", e.label, e.object.GetName())
}

// delete removes exactly the object that was observed; one that is gone is fine.
func (r *Reconciler) delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	options = append(options, client.Preconditions{UID: new(object.GetUID())}, client.PropagationPolicy("Background"))
	err := r.Delete(ctx, object, options...)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err //nolint:wrapcheck // A conflict must stay one; the caller adds the action.
}

// deletePrime removes a prime exactly as it was observed: one that was bound since may have a
// volume that was not made safe.
func (r *Reconciler) deletePrime(ctx context.Context, prime *corev1.PersistentVolumeClaim) error {
	seen := client.Preconditions{UID: new(prime.UID), ResourceVersion: new(prime.ResourceVersion)}
	return r.Delete(
		ctx,
		prime,
		seen,
		client.PropagationPolicy("Background"),
	) //nolint:wrapcheck // A conflict must stay one; the caller adds the action.
}

// deleteMover ends a mover by our own doing, so that it does not count as vanished.
func (r *Reconciler) deleteMover(ctx context.Context, s protocol.State) error {
	err := r.deletePod(ctx, s.Mover)
	if err == nil {
		r.movers.end(client.ObjectKeyFromObject(s.Claim), s.Mover)
	}
	return err
}

// deletePod asks for no grace where nothing runs any more. The API server does the same
// for a pod whose phase is Succeeded, but the kubelet reports that phase a second or two
// after the containers' end.
func (r *Reconciler) deletePod(ctx context.Context, pod *corev1.Pod) error {
	if moverpod.Stopped(pod) {
		return r.delete(ctx, pod, client.GracePeriodSeconds(0))
	}
	return r.delete(ctx, pod)
}

// annotate merges annotations into a prime, guarded by its resourceVersion.
func (r *Reconciler) annotate(
	ctx context.Context,
	prime *corev1.PersistentVolumeClaim,
	annotations map[string]any,
) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": prime.ResourceVersion, "annotations": annotations,
	}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return staleIfGone(r.Patch(ctx, prime.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}

// annotatePrime writes a value as JSON beside other annotations.
func (r *Reconciler) annotatePrime(
	ctx context.Context,
	prime *corev1.PersistentVolumeClaim,
	name string,
	value any,
	more map[string]any,
) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	annotations := map[string]any{name: string(encoded)}
	maps.Copy(annotations, more)
	return r.annotate(ctx, prime, annotations)
}

func (r *Reconciler) patchVolume(
	ctx context.Context,
	volume *corev1.PersistentVolume,
	build func() ([]byte, error),
) error {
	patch, err := build()
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return staleIfGone(r.Patch(ctx, volume.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}

func staleIfGone(err error) error {
	if apierrors.IsNotFound(err) {
		return errStale
	}
	return err
}

// refused turns the API server's no to a create into something its user can read.
func refused(d protocol.Decision, err error, reason v1alpha1.Reason, what string) (protocol.Decision, error) {
	var relabelled *relabelledError
	switch {
	case err == nil:
		return d, nil
	case errors.As(err, &relabelled):
		kind := "pvc"
		if _, ok := relabelled.object.(*corev1.Pod); ok {
			kind = "pod"
		}
		return protocol.LabelsChanged(kind, relabelled.object, relabelled.label, relabelled.want), nil
	case errors.Is(err, errForeign):
		return protocol.Because(corev1.ConditionFalse, v1alpha1.ReasonPrimeConflict, fmt.Sprintf(
			"%s, because its name is taken: %v. Delete that object; population then goes on.",
			what,
			err,
		)).Again(refusalDelay), nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return protocol.Decision{Action: protocol.Wait}, nil
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return protocol.Because(corev1.ConditionUnknown, v1alpha1.ReasonQuotaExceeded, fmt.Sprintf(
			"%s by a quota: %v. While loading, a claim counts twice; raise the quota or delete something.",
			what,
			err,
		)).Again(refusalDelay), nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		message := fmt.Sprintf("%s: %v. It is tried again every %s.", what, err, refusalDelay)
		return protocol.Because(corev1.ConditionUnknown, reason, message).Again(refusalDelay), nil
	}
	return d, err
}
