// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// managerProgram is the name of a replica's process.
const managerProgram = "manager"

// consumption is what the manager has taken since it was started: memory of the largest replica
// at its highest; of all: processor time, passes that failed, and writes that the API server did not accept.
type consumption struct {
	rssMB, cpuSeconds, errors, failedWrites float64
	// started tells the replicas apart from those that follow them.
	started []float64
}

func (b *bench) manager(ctx context.Context) (u consumption, err error) {
	all, err := b.world.ManagerMetrics(ctx)
	if err != nil {
		return u, err
	}
	for _, m := range all {
		cpu, err2 := m.Sum("process_cpu_seconds_total")
		start, err3 := m.Sum("process_start_time_seconds")
		if err := errors.Join(err2, err3); err != nil {
			return u, err
		}
		u.cpuSeconds += cpu
		u.errors += orNone(m.Sum("controller_runtime_reconcile_errors_total"))
		u.failedWrites += orNone(m.Sum("s3populator_failed_writes_total"))
		u.started = append(u.started, start)
	}
	slices.Sort(u.started)
	u.rssMB, err = peakOf(managerProgram)
	return u, err
}

// orNone of a counter that is not there before it first counts, or where a replica does not lead.
func orNone(n float64, err error) float64 {
	if err != nil {
		return 0
	}
	return n
}

// since is the processor time between two looks at the same processes.
func (u consumption) since(before consumption) (seconds float64, err error) {
	if !slices.Equal(u.started, before.started) {
		return 0, fmt.Errorf("the manager was restarted while it was measured: its replicas began at %v, then at %v",
			before.started, u.started)
	}
	return u.cpuSeconds - before.cpuSeconds, nil
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

// settled waits for the rest of a measurement, and in the short form until nothing is left; there it says what is, if
// that does not go.
func (b *bench) settled(ctx context.Context, namespace string) (left int, err error) {
	if err := sleep(ctx, b.form.rest); err != nil {
		return 0, err
	}
	if b.form.prefix == "" {
		return b.leftovers(ctx, namespace)
	}
	err = poll(ctx, "the primes to go", func() (bool, error) {
		left, err = b.leftovers(ctx, namespace)
		return left == 0, err
	})
	return left, err
}

// profilePort is where the manager serves profiles while they are asked for.
const profilePort = "6060"

// profile takes what every replica does with its processor time in the next seconds, and then
// what lives on its heap.
func (b *bench) profile(ctx context.Context, name string, during time.Duration) error {
	seconds := int(during.Seconds())
	for _, p := range [][2]string{
		{"cpu", fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)}, {"heap", "/debug/pprof/heap"},
	} {
		what, path := p[0], p[1]
		answers, err := b.world.AskManager(ctx, profilePort, path)
		if err != nil {
			return fmt.Errorf("take a profile: %w", err)
		}
		for pod, profile := range answers {
			file := filepath.Join(b.profiles, fmt.Sprintf("%s-%s-%s.pprof", name, what, pod))
			if err := os.WriteFile(file, profile, 0o600); err != nil {
				return fmt.Errorf("keep a profile: %w", err)
			}
		}
	}
	return nil
}
