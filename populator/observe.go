// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// observe reads everything that a decision may rest on, and is the only reader besides
// the guards in act.go.
func (r *Reconciler) observe(ctx context.Context, claim *corev1.PersistentVolumeClaim) (protocol.State, error) {
	s := protocol.State{Now: r.Options.Now(), Claim: claim}
	source, err := find(ctx, r, key(claim, claim.Spec.DataSourceRef.Name), &v1alpha1.S3Source{})
	s.Source, s.Unresolved = resolved(source)
	if err != nil {
		return protocol.State{}, err
	}
	if s.Prime, err = find(ctx, r, key(claim, protocol.PrimeName(claim)), &corev1.PersistentVolumeClaim{}); err != nil {
		return protocol.State{}, err
	}
	if err := r.observeMover(ctx, &s); err != nil {
		return protocol.State{}, err
	}
	if s.Consumer, err = find(ctx, r, key(claim, protocol.ConsumerName(claim)), &corev1.Pod{}); err != nil {
		return protocol.State{}, err
	}
	if s.Import, err = find(ctx, r, key(claim, protocol.ImportName(claim)), &v1alpha1.S3Import{}); err != nil {
		return protocol.State{}, err
	}
	if s.Import != nil && !protocol.Records(s.Import, claim) {
		s.Import = nil // A user's, of the same name: its attempts are not ours.
	}
	if err := r.observeClass(ctx, &s); err != nil {
		return protocol.State{}, err
	}
	if err := r.observeVolumes(ctx, &s); err != nil {
		return protocol.State{}, err
	}
	if err := r.observeAttachments(ctx, &s); err != nil {
		return protocol.State{}, err
	}
	r.observeTrouble(ctx, &s)
	return s, nil
}

func (r *Reconciler) observeClass(ctx context.Context, s *protocol.State) (err error) {
	if s.Claim.Spec.StorageClassName == nil || *s.Claim.Spec.StorageClassName == "" {
		return nil
	}
	s.Class, err = find(ctx, r, types.NamespacedName{Name: *s.Claim.Spec.StorageClassName}, &storagev1.StorageClass{})
	if err != nil || s.Class == nil {
		return err
	}
	driver, err := find(ctx, r, types.NamespacedName{Name: s.Class.Provisioner}, &storagev1.CSIDriver{})
	s.CSI = driver != nil
	return err
}

func (r *Reconciler) observeVolumes(ctx context.Context, s *protocol.State) (err error) {
	if s.Prime != nil {
		if s.PrimeVolume, err = r.volume(ctx, s.Prime.Spec.VolumeName); err != nil {
			return err
		}
		// One that was rebound to the claim is as it will stay: no older view shows that.
		expected := protocol.RefersTo(s.PrimeVolume, s.Prime) ||
			protocol.RefersTo(s.PrimeVolume, s.Claim) && protocol.PopulatedFor(s.PrimeVolume, s.Claim)
		if s.PrimeVolume, err = r.unlessOld(ctx, s.PrimeVolume, expected); err != nil {
			return err
		}
	}
	if s.ClaimVolume, err = r.volume(ctx, s.Claim.Spec.VolumeName); err != nil {
		return err
	}
	if s.ClaimVolume, err = r.unlessOld(ctx, s.ClaimVolume, protocol.PopulatedFor(s.ClaimVolume, s.Claim)); err != nil {
		return err
	}
	var promised corev1.PersistentVolumeList
	byUID := client.MatchingFields{indexClaimRefUID: string(s.Claim.UID)}
	if err := r.List(ctx, &promised, byUID, client.Limit(1)); err != nil {
		return fmt.Errorf("list volumes promised to the claim: %w", err)
	}
	if len(promised.Items) > 0 {
		s.Promised = &promised.Items[0]
	}
	return nil
}

// observeAttachments only where no mover explains them.
func (r *Reconciler) observeAttachments(ctx context.Context, s *protocol.State) error {
	if s.PrimeVolume == nil || s.Mover != nil {
		return nil
	}
	var found storagev1.VolumeAttachmentList
	if err := r.List(ctx, &found, client.MatchingFields{indexAttachedVolume: s.PrimeVolume.Name}); err != nil {
		return fmt.Errorf("list attachments of volume %s: %w", s.PrimeVolume.Name, err)
	}
	s.Attachments = found.Items
	return nil
}

// unlessOld asks the API server for a volume that is not as its claim lets expect: our view
// of volumes may be older than that of claims, and not show a bind or a rebind yet.
func (r *Reconciler) unlessOld(
	ctx context.Context,
	v *corev1.PersistentVolume,
	expected bool,
) (*corev1.PersistentVolume, error) {
	if v == nil || expected {
		return v, nil
	}
	return find(ctx, r.Live, types.NamespacedName{Name: v.Name}, &corev1.PersistentVolume{})
}

// volume asks the API server where the cache has none: a volume that is only not seen
// yet must not be taken for one that is gone.
func (r *Reconciler) volume(ctx context.Context, name string) (*corev1.PersistentVolume, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // No name, no volume: absence is a state here, not an error.
	}
	v, err := find(ctx, r, types.NamespacedName{Name: name}, &corev1.PersistentVolume{})
	if v != nil || err != nil {
		return v, err
	}
	return find(ctx, r.Live, types.NamespacedName{Name: name}, &corev1.PersistentVolume{})
}

func key(claim *corev1.PersistentVolumeClaim, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: claim.Namespace, Name: name}
}

// find reads an object; an absent one is nil without an error.
func find[T client.Object](ctx context.Context, from client.Reader, k types.NamespacedName, into T) (T, error) {
	var absent T
	err := from.Get(ctx, k, into)
	if apierrors.IsNotFound(err) {
		return absent, nil
	}
	if err != nil {
		return absent, fmt.Errorf("read %T %s: %w", into, k, err)
	}
	return into, nil
}
