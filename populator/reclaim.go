// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// Reclaimer closes the gap between the provisioning of a volume and its mark as scratch:
// a claim of a class that retains may be deleted just then, or while its volume is still
// being made, and nobody would ever look for that volume again. Such a volume is known by
// the name in its claimRef, which nothing but a prime of ours has.
type Reclaimer struct {
	client.Client
	Live client.Reader
}

// SetupWithManager watches volumes.
func (r *Reclaimer) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("reclaim").
		For(&corev1.PersistentVolume{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return forsaken(o.(*corev1.PersistentVolume))
		}))).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register reclaim controller: %w", err)
	}
	return nil
}

// forsaken tells that a volume was made for a prime that is gone, and never held
// anybody's data: the PV controller has released it, and we never handed it over.
func forsaken(v *corev1.PersistentVolume) bool {
	return v.Status.Phase == corev1.VolumeReleased && v.DeletionTimestamp == nil &&
		v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete &&
		v.Spec.ClaimRef != nil && strings.HasPrefix(v.Spec.ClaimRef.Name, protocol.PrimePrefix) &&
		v.Annotations[v1alpha1.AnnotationPopulatedFor] == ""
}

// Reconcile gives a forsaken volume the policy that it would have had as scratch; its
// provisioner then deletes it.
func (r *Reclaimer) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	v := &corev1.PersistentVolume{}
	if err := r.Get(ctx, request.NamespacedName, v); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !forsaken(v) {
		return ctrl.Result{}, nil
	}
	prime := &corev1.PersistentVolumeClaim{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name}, prime)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read prime of volume %s: %w", v.Name, err)
	}
	if err == nil && prime.UID == v.Spec.ClaimRef.UID {
		return ctrl.Result{}, nil // It lives after all; its own pass marks the volume.
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": v.ResourceVersion},
		"spec":     map[string]any{"persistentVolumeReclaimPolicy": corev1.PersistentVolumeReclaimDelete},
	})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("encode patch: %w", err)
	}
	log.FromContext(ctx).Info("Reclaiming a volume that its prime left behind", "prime", v.Spec.ClaimRef.Name)
	err = r.Patch(ctx, v.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}
