// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// act makes the one write of a decision. What the API server refuses becomes another decision, that
// tells of it.
func (r *Reconciler) act(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	switch d.Action {
	case protocol.Wait:
		return d, nil
	case protocol.AddFinalizer:
		return d, r.patchFinalizers(ctx, s.Export, append(slices.Clone(s.Export.Finalizers), v1alpha1.FinalizerExport))
	case protocol.RemoveFinalizer:
		kept := slices.DeleteFunc(slices.Clone(s.Export.Finalizers), func(f string) bool {
			return f == v1alpha1.FinalizerExport
		})
		return d, r.patchFinalizers(ctx, s.Export, kept)
	case protocol.StartMover:
		return r.beginMover(ctx, s, d)
	case protocol.StartAbort:
		pod, err := protocol.Abort(s, r.Options.mover())
		if err != nil {
			return d, err //nolint:wrapcheck // Reconcile names the action.
		}
		d, err := abortRefused(s, d, r.create(ctx, s.Export, pod))
		if d.Action == protocol.RemoveFinalizer {
			return r.act(ctx, s, d)
		}
		return d, err
	case protocol.DeleteMover:
		r.seen.noteDeleted(&s) // Before its end can be seen.
		return d, r.deleteMover(ctx, s)
	case protocol.DeleteAbort:
		return d, movers.Delete(ctx, r.Client, s.Abort)
	case protocol.DeleteExport:
		uid := client.Preconditions{UID: &s.Export.UID}
		return d, client.IgnoreNotFound(r.Delete(ctx, s.Export, uid)) //nolint:wrapcheck // As above.
	default:
		return r.actTemporary(ctx, s, d)
	}
}

// tryMover starts a mover, unless one was refused a moment ago.
func (r *Reconciler) tryMover(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	if r.seen.refusedNow(&s) {
		return protocol.StillRefused(), nil
	}
	next, err := r.startMover(ctx, s, d)
	if err == nil && next.Action != protocol.StartMover {
		r.seen.noteRefused(&s)
	}
	return next, err
}

// patchFinalizers replaces them, if nobody else has changed the export meanwhile.
func (r *Reconciler) patchFinalizers(ctx context.Context, e *v1alpha1.S3Export, finalizers []string) error {
	changed := e.DeepCopy()
	changed.Finalizers = finalizers
	patch := client.MergeFromWithOptions(e, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Patch(ctx, changed, patch)) //nolint:wrapcheck // Reconcile names the action.
}

// create makes a pod, and proves that our watch shows it.
func (r *Reconciler) create(ctx context.Context, e *v1alpha1.S3Export, pod *corev1.Pod) error {
	owned := func(p *corev1.Pod) bool { return protocol.OwnedBy(p, e) }
	return movers.Clients{Write: r.Client, Live: r.Live}.Create(ctx, pod, "export", owned)
}

// passingPatience is how long what mostly passes by itself is not told.
const passingPatience = time.Minute

// refused tells what the API server said to a pod. What mostly passes by itself is an error at first, which
// leaves the pace to controller-runtime.
func refused(s protocol.State, d protocol.Decision, what string, err error) (protocol.Decision, error) {
	var unusable *movers.UnusableError
	switch {
	case err == nil:
		return d, nil
	case errors.As(err, &unusable):
		return protocol.Refused(unusable.Reason, unusable.Message), nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return protocol.Decision{Action: protocol.Wait}, nil
	case apierrors.IsConflict(err), movers.Passing(err) && s.Now.Sub(s.Export.CreationTimestamp.Time) < passingPatience:
		return d, err
	}
	return protocol.Refused(v1alpha1.ReasonMoverRefused, fmt.Sprintf(
		"The API server did not let the manager create %s, which exports the volume: %s.", what, movers.Words(err))), nil
}

// abortRefused lets the export go where its namespace does: nothing can run there any more.
func abortRefused(s protocol.State, d protocol.Decision, err error) (protocol.Decision, error) {
	var unusable *movers.UnusableError
	switch {
	case err == nil:
		return d, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return protocol.LeaveUploads(s, "the namespace is being deleted, and no pod can be started in it"), nil
	case errors.As(err, &unusable), !movers.Passing(err):
		return protocol.Decision{Action: protocol.Wait, Recheck: protocol.UsersEvery}, nil // It is given up in time.
	}
	return d, err
}

// sweep removes the pod of an export that is gone: nothing owns it.
func (r *Reconciler) sweep(ctx context.Context, name types.NamespacedName) error {
	var pods corev1.PodList
	err := r.List(ctx, &pods, client.InNamespace(name.Namespace),
		client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleAbort})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Annotations[v1alpha1.AnnotationExport] == name.Name && pod.DeletionTimestamp == nil {
			if err := movers.Delete(ctx, r.Client, pod); err != nil {
				return fmt.Errorf("delete pod %s: %w", pod.Name, err)
			}
		}
	}
	return nil
}
