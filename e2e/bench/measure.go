// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// manager is the memory of the largest replica and the processor time of all.
func (b *bench) manager(ctx context.Context) (rssMB, cpuSeconds float64, err error) {
	all, err := b.world.ManagerMetrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range all {
		rss, err1 := m.Sum("process_resident_memory_bytes")
		cpu, err2 := m.Sum("process_cpu_seconds_total")
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, err
		}
		rssMB, cpuSeconds = max(rssMB, rss/1e6), cpuSeconds+cpu
	}
	return rssMB, cpuSeconds, nil
}

// leftovers counts the primes and movers that are still there.
func (b *bench) leftovers(ctx context.Context, namespace string) (int, error) {
	ours := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	err := errors.Join(
		b.world.Client.List(ctx, &pods, client.InNamespace(namespace), ours),
		b.world.Client.List(ctx, &claims, client.InNamespace(namespace), ours),
	)
	return len(pods.Items) + len(claims.Items), err
}

// warnings counts the manager's Warning events of the whole run.
func (b *bench) warnings(ctx context.Context) (n int, err error) {
	var all corev1.EventList
	if err := b.world.Client.List(ctx, &all); err != nil {
		return 0, fmt.Errorf("list events: %w", err)
	}
	for i := range all.Items {
		e := &all.Items[i]
		if e.Type == corev1.EventTypeWarning && e.ReportingController == story.ManagerName {
			n++
		}
	}
	return n, nil
}
