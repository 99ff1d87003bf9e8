// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// sweepEvery is rare: exports remove what they make, and else garbage collection does.
const sweepEvery = 10 * time.Minute

// sweepPage is how many snapshots are held in memory at once.
const sweepPage = 500

// Sweeper removes temporary claims and snapshots whose S3Export is gone, and which garbage collection cannot
// reach because their owner reference was stripped.
type Sweeper struct{ Reconciler *Reconciler }

// NeedLeaderElection keeps it to one replica.
func (Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until the manager stops.
func (w Sweeper) Start(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := w.Sweep(ctx); err != nil {
			log.FromContext(ctx).Error(err, "Cannot sweep what exports left, trying again later", "after", sweepEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep looks once.
func (w Sweeper) Sweep(ctx context.Context) error {
	temporary := client.MatchingLabels{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RoleTemporary,
	}
	var claims corev1.PersistentVolumeClaimList
	if err := w.Reconciler.List(ctx, &claims, temporary); err != nil {
		return fmt.Errorf("list temporary claims: %w", err)
	}
	var failed []error
	for i := range claims.Items {
		failed = append(failed, w.claim(ctx, &claims.Items[i]))
	}
	return errors.Join(append(failed, w.snapshots(ctx, temporary))...)
}

func (w Sweeper) claim(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	gone, err := w.exportGone(ctx, claim)
	if err != nil || !gone {
		return err
	}
	if claim.Spec.VolumeName != "" {
		v, err := w.Reconciler.volumeOf(ctx, claim)
		if err != nil {
			return err
		}
		if protocol.Captured(v, claim) {
			if err := w.Reconciler.keepVolume(ctx, v); err != nil {
				return fmt.Errorf("keep volume %s: %w", v.Name, err)
			}
		}
	}
	// As it was judged: one that was bound since may have a volume that is not to go with it.
	return w.delete(ctx, claim, client.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion})
}

func (w Sweeper) snapshots(ctx context.Context, temporary client.MatchingLabels) error {
	page := &unstructured.UnstructuredList{}
	page.SetGroupVersionKind(snapshotKind)
	for {
		err := w.Reconciler.Live.List(ctx, page, temporary, client.Limit(sweepPage), client.Continue(page.GetContinue()))
		if unavailable(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list VolumeSnapshots: %w", err)
		}
		for i := range page.Items {
			u := &page.Items[i]
			gone, err := w.exportGone(ctx, u)
			if err == nil && gone {
				err = w.delete(ctx, u, client.Preconditions{UID: new(u.GetUID())})
			}
			if err != nil {
				return err
			}
		}
		if page.GetContinue() == "" {
			return nil
		}
	}
}

// exportGone tells that an object has the name and labels of a temporary one, and that the API server knows no
// S3Export of the UID that they say.
func (w Sweeper) exportGone(ctx context.Context, o metav1.Object) (bool, error) {
	uid, ok := protocol.IsTemporary(o.GetLabels())
	if !ok || o.GetName() != protocol.TemporaryName(uid) || o.GetDeletionTimestamp() != nil {
		return false, nil
	}
	var exports v1alpha1.S3ExportList
	if err := w.Reconciler.Live.List(ctx, &exports, client.InNamespace(o.GetNamespace())); err != nil {
		return false, fmt.Errorf("list S3Exports: %w", err)
	}
	for i := range exports.Items {
		if exports.Items[i].UID == uid {
			return false, nil
		}
	}
	return true, nil
}

func (w Sweeper) delete(ctx context.Context, o client.Object, as client.Preconditions) error {
	log.FromContext(ctx).Info("Removing what an S3Export left behind", "namespace", o.GetNamespace(), "name", o.GetName())
	if err := w.Reconciler.deleteExactly(ctx, o, as); err != nil {
		return fmt.Errorf("delete %T %s: %w", o, o.GetName(), err)
	}
	return nil
}
