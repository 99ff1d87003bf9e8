// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

// sweepEvery is rare: garbage collection does the work, except after --cascade=orphan.
const sweepEvery = 10 * time.Minute

// Sweeper removes primes and pods whose claim is gone and which garbage collection cannot
// reach because their owner reference was stripped. A prime goes only when the record on its
// volume says that the volume was ours; what has no record is left and counted.
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
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.HasLabels{v1alpha1.LabelClaimUID}); err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	var failed []error
	for i := range pods.Items {
		if pod := &pods.Items[i]; oursByName(pod) {
			failed = append(failed, w.remove(ctx, pod))
		}
	}
	kept := 0
	for i := range primes.Items {
		left, err := w.removePrime(ctx, &primes.Items[i])
		kept += left
		failed = append(failed, err)
	}
	failed = append(failed, w.countOrphans(ctx, kept))
	return errors.Join(failed...)
}

// oursByName tells that a pod's name, label and container agree that we made it.
func oursByName(pod *corev1.Pod) bool {
	uid := pod.Labels[v1alpha1.LabelClaimUID]
	containers := map[string]string{
		moverpod.PopulatorName(uid): moverpod.ContainerName,
		moverpod.ConsumerName(uid):  moverpod.ConsumerContainer,
	}
	want := containers[pod.Name]
	return want != "" && slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == want })
}

// removePrime returns 1 for a prime that it leaves because nothing says that it is ours.
func (w Sweeper) removePrime(ctx context.Context, prime *corev1.PersistentVolumeClaim) (left int, err error) {
	if prime.DeletionTimestamp != nil {
		return 0, nil
	}
	gone, err := w.claimGone(ctx, prime.Namespace, prime.Labels[v1alpha1.LabelClaimUID])
	if err != nil || !gone {
		return 0, err
	}
	var volume *corev1.PersistentVolume
	if prime.Spec.VolumeName != "" {
		key := types.NamespacedName{Name: prime.Spec.VolumeName}
		if volume, err = find(ctx, w.Reconciler.Live, key, &corev1.PersistentVolume{}); err != nil {
			return 0, err
		}
	}
	if !protocol.SpentPrime(prime, volume) {
		log.FromContext(ctx).Info(
			"A claim has labels of ours, but no record on its volume says that it is; it is left alone",
			"namespace", prime.Namespace, "name", prime.Name,
		)
		return 1, nil
	}
	return 0, w.delete(ctx, prime)
}

// countOrphans keeps the metric of what is left for an administrator.
func (w Sweeper) countOrphans(ctx context.Context, primes int) error {
	var volumes corev1.PersistentVolumeList
	if err := w.Reconciler.List(ctx, &volumes); err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	kept := 0
	for i := range volumes.Items {
		if protocol.StepOf(&volumes.Items[i]) == protocol.ReportOrphan {
			kept++
		}
	}
	orphansKept.WithLabelValues("PersistentVolumeClaim").Set(float64(primes))
	orphansKept.WithLabelValues("PersistentVolume").Set(float64(kept))
	return nil
}

func (w Sweeper) remove(ctx context.Context, object client.Object) error {
	if object.GetDeletionTimestamp() != nil {
		return nil
	}
	gone, err := w.claimGone(ctx, object.GetNamespace(), object.GetLabels()[v1alpha1.LabelClaimUID])
	if err != nil || !gone {
		return err
	}
	return w.delete(ctx, object)
}

func (w Sweeper) delete(ctx context.Context, object client.Object) error {
	log.FromContext(ctx).Info(
		"Removing what its claim left behind",
		"namespace", object.GetNamespace(), "name", object.GetName(),
	)
	orphans.Inc()
	return w.Reconciler.delete(ctx, object)
}

// claimGone lists live, because the cache may not have a claim that was just created.
func (w Sweeper) claimGone(ctx context.Context, namespace, uid string) (bool, error) {
	if uid == "" {
		return false, nil
	}
	var cached corev1.PersistentVolumeClaimList
	byUID := client.MatchingFields{indexUID: uid}
	if err := w.Reconciler.List(ctx, &cached, client.InNamespace(namespace), byUID); err != nil {
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
