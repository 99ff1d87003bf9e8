// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

const (
	simulatedClass = "simulated"
	simulatedCSI   = "simulated.s3populator.test"
	simulatedNodes = 10

	// What a simulated mover says that it moved.
	simulatedBytes  = 5
	simulatedDigest = "sha256:simulated"
)

// simulated measures the manager alone, with the caps of movers that it is shipped with, so
// that most claims wait in its queue: kwok plays nodes and ends every mover with success, and
// this program plays the provisioner.
func (b *bench) simulated(ctx context.Context, f figures) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, err := b.startSimulation(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return b.simulatedClaims(ctx, f)
}

func (b *bench) simulatedClaims(ctx context.Context, f figures) error {
	for _, n := range []int{b.form.few, b.form.many} {
		if err := b.simulate(ctx, fmt.Sprintf("simulated-%d", n), n, f); err != nil {
			return err
		}
	}
	f["kwok_growth"] = f.number(simulatedKey(b.form.many, "cpu_ms")) / f.number(simulatedKey(b.form.few, "cpu_ms"))
	return nil
}

// startSimulation has kwok and the provisioner of this program play nodes and storage until
// stop, or until ctx ends.
func (b *bench) startSimulation(ctx context.Context) (stop func() error, err error) {
	if err := b.shippedCaps(ctx); err != nil {
		return nil, err
	}
	if err := b.cordon(ctx); err != nil {
		return nil, err
	}
	if stop, err = b.startKwok(ctx); err != nil {
		return nil, err
	}
	storage := &provisioner{client: b.world.Client, kube: b.world.Kube}
	if err := errors.Join(b.simulatedObjects(ctx), storage.start(ctx)); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// shippedCaps starts the replicas anew. What happened to the old ones is looked at before.
func (b *bench) shippedCaps(ctx context.Context) error {
	now, err := b.manager(ctx)
	if err != nil {
		return err
	}
	if _, err := now.since(b.replicas); err != nil {
		return err
	}
	if err := errors.Join(b.world.ManagerWell(), b.restoreCaps(ctx)); err != nil {
		return err
	}
	b.past.errors, b.past.failedWrites = b.past.errors+now.errors, b.past.failedWrites+now.failedWrites
	b.replicas, err = b.manager(ctx)
	return err
}

// cordon keeps simulated pods off the real node; what runs there stays.
func (b *bench) cordon(ctx context.Context) error {
	var nodes corev1.NodeList
	if err := b.world.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range nodes.Items {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`))
		if err := b.world.Client.Patch(ctx, &nodes.Items[i], patch); err != nil {
			return fmt.Errorf("cordon: %w", err)
		}
	}
	return nil
}

// startKwok runs kwok inside the node until stop.
func (b *bench) startKwok(ctx context.Context) (stop func() error, err error) {
	cache, err := toolchain.Open(os.Stderr)
	if err != nil {
		return nil, err
	}
	binaries, err := cache.Ensure(ctx, "kwok")
	if err != nil {
		return nil, err
	}
	stages := filepath.Join(b.world.Dir(), "kwok.yaml")
	if err := os.WriteFile(stages, []byte(stagesFor()), 0o600); err != nil {
		return nil, fmt.Errorf("write stages: %w", err)
	}
	log, err := os.Create(filepath.Join(b.world.Dir(), "logs", "kwok.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	cmd := b.world.Node.Command(
		ctx,
		binaries["kwok"],
		"--kubeconfig",
		b.world.Node.Kubeconfig(),
		"--config",
		stages,
		"--manage-nodes-with-annotation-selector",
		"kwok.x-k8s.io/node=fake",
		"--node-ip",
		b.world.Node.Address(),
		"--cidr",
		"10.250.0.0/16",
	)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start kwok: %w", err)
	}
	return func() error {
		cancel()
		_ = cmd.Wait() // killed
		return nil
	}, nil
}

// stagesFor are kwok's rules: nodes are ready, movers succeed at once, deleted pods go.
func stagesFor() string {
	report := wire.Report{Class: wire.Done, Objects: 1, Bytes: simulatedBytes, ManifestDigest: simulatedDigest}
	return fmt.Sprintf(stages, moverpod.ContainerName, report.Encode())
}

func (b *bench) simulatedObjects(ctx context.Context) error {
	immediate, reclaim := storagev1.VolumeBindingImmediate, corev1.PersistentVolumeReclaimDelete
	objects := []client.Object{
		&storagev1.CSIDriver{
			ObjectMeta: metav1.ObjectMeta{Name: simulatedCSI},
			Spec:       storagev1.CSIDriverSpec{AttachRequired: new(false)},
		},
		&storagev1.StorageClass{
			ObjectMeta:        metav1.ObjectMeta{Name: simulatedClass},
			Provisioner:       simulatedCSI,
			VolumeBindingMode: &immediate,
			ReclaimPolicy:     &reclaim,
		},
	}
	for i := range simulatedNodes {
		objects = append(objects, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name:        fmt.Sprintf("simulated-%d", i),
				Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
				Labels: map[string]string{
					"kubernetes.io/hostname": fmt.Sprintf("simulated-%d", i),
					"kubernetes.io/os":       "linux",
					"kubernetes.io/arch":     "amd64",
				},
			},
			Status: corev1.NodeStatus{Allocatable: plenty(), Capacity: plenty()},
		})
	}
	for _, o := range objects {
		if err := b.world.Client.Create(ctx, o); err != nil {
			return fmt.Errorf("create %s: %w", o.GetName(), err)
		}
	}
	return nil
}

func plenty() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1000"),
		corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourcePods:   resource.MustParse("2000"),
	}
}

// simulate fills n claims and takes the manager's costs, of each claim, until nothing of ours
// is left.
func (b *bench) simulate(ctx context.Context, namespace string, n int, f figures) error {
	fmt.Fprintf(b.out, "%s: %d claims against simulated nodes\n", namespace, n)
	if err := b.simulatedSource(ctx, namespace, v1alpha1.Mover{}); err != nil {
		return err
	}
	before, err := b.manager(ctx)
	if err != nil {
		return err
	}
	requestsBefore, err := b.world.Requests()
	if err != nil {
		return err
	}
	profiled := b.profileWhile(ctx, namespace, time.Duration(n)*profileOf)
	began := time.Now()
	if err := b.fill(ctx, namespace, n); err != nil {
		return err
	}
	f[simulatedKey(n, "s")] = time.Since(began).Seconds()
	if err := poll(ctx, "the primes to go", func() (bool, error) {
		left, err := b.leftovers(ctx, namespace)
		return left == 0, err
	}); err != nil {
		return err
	}
	after, err := b.manager(ctx)
	if err != nil {
		return err
	}
	cpu, err := after.since(before)
	if err != nil {
		return err
	}
	requests, err := b.world.Requests()
	if err != nil {
		return err
	}
	f[simulatedKey(n, "cpu_ms")], f[simulatedKey(n, "rss_mb")] = 1000*cpu/float64(n), after.rssMB
	f[simulatedKey(n, "requests")] = float64(withoutWatches(requests[len(requestsBefore):])) / float64(n)
	fmt.Fprintf(b.out, "  %.1f s; each %.1f ms of processor, %.1f requests\n", f.number(simulatedKey(n, "s")),
		f.number(simulatedKey(n, "cpu_ms")), f.number(simulatedKey(n, "requests")))
	if err := b.checkSoon(ctx, namespace, n, promise{simulatedBytes, simulatedDigest}); err != nil {
		return err
	}
	return errors.Join(profiled(), b.endOfOurs(ctx, namespace))
}

// profileWhile takes profiles, if they are asked for, until the function that it returns is
// called and they are there.
func (b *bench) profileWhile(ctx context.Context, name string, during time.Duration) (wait func() error) {
	if b.profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- b.profile(ctx, name, max(during, 5*time.Second)) }()
	return func() error { return <-done }
}

// profileOf each claim: less than one takes.
const profileOf = 60 * time.Millisecond

func withoutWatches(requests []story.Request) (n int) {
	for _, r := range requests {
		if r.Verb != "watch" {
			n++
		}
	}
	return n
}

// fill makes n claims and waits until each has its volume.
func (b *bench) fill(ctx context.Context, namespace string, n int) error {
	for i := range n {
		claim := b.claim(namespace, claimName(i), story.Claim{Source: sourceName, Class: simulatedClass})
		if err := b.world.Client.Create(ctx, claim); err != nil {
			return fmt.Errorf("create claim: %w", err)
		}
	}
	return b.boundClaims(ctx, namespace, n)
}
