// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshots,verbs=get;list;create;delete
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshotclasses,verbs=list
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=list;watch

// temporary reads what an export made for itself, from the API server: VolumeSnapshots are not watched, because
// a cluster may not have them.
func (r *Reconciler) temporary(ctx context.Context, s *protocol.State) error {
	e, t := s.Export, &s.Temporary
	if !protocol.HoldsTemporary(e) {
		return nil
	}
	var err error
	name := types.NamespacedName{Namespace: e.Namespace, Name: protocol.TemporaryName(e.UID)}
	if t.Claim, err = find(ctx, r.Live, name, &corev1.PersistentVolumeClaim{}); err != nil {
		return err
	}
	if t.Claim != nil && t.Claim.Spec.VolumeName != "" {
		if t.Volume, err = r.volumeOf(ctx, t.Claim); err != nil {
			return err
		}
	}
	if e.Spec.Consistency == v1alpha1.ConsistencySnapshot {
		if t.Snapshot, t.Unavailable, err = r.snapshot(ctx, name); err != nil {
			return err
		}
	}
	if t.Consumer, err = movers.Read(ctx, r.Client, e.Namespace, moverpod.ConsumerName(string(e.UID))); err != nil {
		return err
	}
	return r.origin(ctx, s)
}

// origin reads what the temporary claim is made by, while it is not bound.
func (r *Reconciler) origin(ctx context.Context, s *protocol.State) error {
	e, t := s.Export, &s.Temporary
	if !makes(s) {
		return nil
	}
	var err error
	if t.Source, err = r.volumeOf(ctx, s.Claim); err != nil {
		return err
	}
	class := types.NamespacedName{Name: protocol.ClassNameFor(*s)}
	if t.Class, err = find(ctx, r.Client, class, &storagev1.StorageClass{}); err != nil {
		return err
	}
	if t.Claim == nil {
		if t.Free, err = r.free(ctx, *s); err != nil {
			return err
		}
	}
	switch {
	case t.Claim != nil && s.Now.Sub(t.Claim.CreationTimestamp.Time) >= protocol.TemporaryPatience:
		t.Trouble = r.trouble(ctx, t.Claim, time.Time{})
	case e.Spec.Consistency == v1alpha1.ConsistencySnapshot && t.Snapshot == nil && !t.Unavailable:
		t.SnapshotClasses, err = r.snapshotClasses(ctx)
	}
	return err
}

// free looks for a volume that the temporary claim would be bound to. It only foresees: what the claim is bound to is
// read from the API server.
func (r *Reconciler) free(ctx context.Context, s protocol.State) (string, error) {
	var all corev1.PersistentVolumeList
	if err := r.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("list volumes: %w", err)
	}
	return protocol.Free(s, all.Items), nil
}

// makes tells that a temporary claim may have to be made, or bound.
func makes(s *protocol.State) bool {
	if t := s.Temporary.Claim; t != nil && t.Status.Phase == corev1.ClaimBound {
		return false
	}
	return s.Claim != nil && s.Claim.Spec.VolumeName != "" && s.Mover == nil && s.Export.DeletionTimestamp == nil
}

func (r *Reconciler) volumeOf(
	ctx context.Context,
	claim *corev1.PersistentVolumeClaim,
) (*corev1.PersistentVolume, error) {
	return find(ctx, r.Live, types.NamespacedName{Name: claim.Spec.VolumeName}, &corev1.PersistentVolume{})
}

// find reads an object; an absent one is nil without an error.
func find[T client.Object](ctx context.Context, from client.Reader, name types.NamespacedName, into T) (T, error) {
	var none T
	err := from.Get(ctx, name, into)
	if apierrors.IsNotFound(err) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("read %T %s: %w", into, name.Name, err)
	}
	return into, nil
}
