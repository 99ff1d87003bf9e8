// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// sweepEvery is rare: garbage collection does the work, except after --cascade=orphan.
const sweepEvery = 10 * time.Minute

// Sweeper removes primes and movers whose claim is gone and which garbage collection
// cannot reach because their owner reference was stripped.
type Sweeper struct{ Reconciler *Reconciler }

// NeedLeaderElection keeps it to one replica.
func (Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until the manager stops.
func (w Sweeper) Start(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := w.Sweep(ctx); err != nil {
			log.FromContext(ctx).Error(err, "Cannot sweep, trying again later", "after", sweepEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep looks once. An object goes only when the API server itself says that no claim of
// its UID exists.
func (w Sweeper) Sweep(ctx context.Context) error {
	r := w.Reconciler
	var primes corev1.PersistentVolumeClaimList
	if err := r.List(ctx, &primes, client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RolePrime}); err != nil {
		return fmt.Errorf("list primes: %w", err)
	}
	var movers corev1.PodList
	if err := r.List(ctx, &movers, client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RolePopulate}); err != nil {
		return fmt.Errorf("list movers: %w", err)
	}
	var failed []error
	for i := range movers.Items {
		failed = append(failed, w.remove(ctx, &movers.Items[i]))
	}
	for i := range primes.Items {
		failed = append(failed, w.remove(ctx, &primes.Items[i]))
	}
	return errors.Join(failed...)
}

func (w Sweeper) remove(ctx context.Context, object client.Object) error {
	if object.GetDeletionTimestamp() != nil {
		return nil
	}
	gone, err := w.claimGone(ctx, object.GetNamespace(), object.GetLabels()[v1alpha1.LabelClaimUID])
	if err != nil || !gone {
		return err
	}
	log.FromContext(ctx).Info("Removing what its claim left behind", "namespace", object.GetNamespace(), "name", object.GetName())
	orphans.Inc()
	return w.Reconciler.delete(ctx, object)
}

// claimGone lists live, because the cache may not have a claim that was just created.
func (w Sweeper) claimGone(ctx context.Context, namespace, uid string) (bool, error) {
	if uid == "" {
		return false, nil
	}
	var cached corev1.PersistentVolumeClaimList
	if err := w.Reconciler.List(ctx, &cached, client.InNamespace(namespace), client.MatchingFields{indexUID: uid}); err != nil {
		return false, fmt.Errorf("list claims: %w", err)
	}
	if len(cached.Items) > 0 {
		return false, nil
	}
	var live corev1.PersistentVolumeClaimList
	if err := w.Reconciler.Live.List(ctx, &live, client.InNamespace(namespace)); err != nil {
		return false, fmt.Errorf("list claims live: %w", err)
	}
	for i := range live.Items {
		if live.Items[i].UID == types.UID(uid) {
			return false, nil
		}
	}
	return true, nil
}
