// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// releaseRecheck is the net below the watch: the PV controller's write after a prime is gone
// wakes us.
const releaseRecheck = 30 * time.Second

// VolumeReconciler ends what must not depend on a claim: the release of a volume that was
// not ours to fill goes on when the claim is gone. It writes only to volumes that carry our
// record of a release, and tells of those that outlived their prime without any record.
type VolumeReconciler struct {
	client.Client
	Live   client.Reader
	Events events.EventRecorder
}

// SetupWithManager watches volumes.
func (r *VolumeReconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("volume").
		For(&corev1.PersistentVolume{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return protocol.StepOf(o.(*corev1.PersistentVolume)) != protocol.NoStep
		}))).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register volume controller: %w", err)
	}
	return nil
}

// Reconcile makes one step of a volume; each is guarded by the volume's resourceVersion.
func (r *VolumeReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	v := &corev1.PersistentVolume{}
	if err := r.Get(ctx, request.NamespacedName, v); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	switch step := protocol.StepOf(v); step {
	case protocol.ReportOrphan:
		r.reportOrphan(ctx, v)
		return ctrl.Result{}, nil
	case protocol.ClearClaimRef:
		lives, err := r.primeLives(ctx, v.Spec.ClaimRef)
		if err != nil || lives {
			return ctrl.Result{RequeueAfter: releaseRecheck}, err
		}
		return r.patch(ctx, v, step, protocol.ClearClaimRefPatch)
	case protocol.RestorePolicy:
		return r.patch(ctx, v, step, protocol.RestorePolicyPatch)
	default:
		return ctrl.Result{}, nil
	}
}

// primeLives asks the API server: a volume is freed only when no claim can use it any more.
func (r *VolumeReconciler) primeLives(ctx context.Context, ref *corev1.ObjectReference) (bool, error) {
	prime := &corev1.PersistentVolumeClaim{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, prime)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read prime %s: %w", ref.Name, err)
	}
	return ref.UID == "" || prime.UID == ref.UID, nil
}

func (r *VolumeReconciler) patch(ctx context.Context, v *corev1.PersistentVolume, step protocol.VolumeStep,
	build func(*corev1.PersistentVolume) ([]byte, error),
) (ctrl.Result, error) {
	patch, err := build(v)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("encode patch: %w", err)
	}
	log.FromContext(ctx).Info(
		"Releasing a volume that was not made for its prime",
		"step", step, "claimUID", v.Annotations[v1alpha1.AnnotationReleasing],
	)
	err = r.Patch(ctx, v.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("%s: %w", step, err)
	}
	return ctrl.Result{}, nil
}

func (r *VolumeReconciler) reportOrphan(ctx context.Context, v *corev1.PersistentVolume) {
	ref := v.Spec.ClaimRef
	log.FromContext(ctx).Info(
		"A volume outlived a claim with a name of ours and has no record of ours; it is left alone",
		"claim", ref.Namespace+"/"+ref.Name,
	)
	r.Events.Eventf(v, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonVolumeOrphaned), "Reclaim",
		"The claim %s/%s that this volume was bound to is gone, and nothing says that the volume was ours to fill, so it is kept. "+
			"If no data on it is needed, set its persistentVolumeReclaimPolicy to Delete.",
		ref.Namespace,
		ref.Name,
	)
}
