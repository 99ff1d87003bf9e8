// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// What is promised to a tenant beside them.
const (
	promisedFactor = 2.0
	promisedRSS    = 256 << 20 // The memory limit of manifests/manager, in bytes.
)

// createsAtOnce fills the cluster in a minute or two.
const createsAtOnce = 20

// brokenPromises are those that a run did not keep.
func brokenPromises(f figures) error {
	var all []error
	if idle, busy := f.number("bound_idle_s"), f.number("bound_busy_s"); busy > promisedFactor*idle {
		all = append(all, fmt.Errorf("a claim beside busy tenants is Bound after %.1f s, promised is %.1f x %.1f s",
			busy, promisedFactor, idle))
	}
	if rss := f.number("rss_busy_mb"); rss*1e6 > promisedRSS {
		all = append(all, fmt.Errorf("the manager takes %.0f MB, its limit is %.0f MB", rss, promisedRSS/1e6))
	}
	return errors.Join(all...)
}

// runTenants measures a claim of a quiet tenant, first alone and then beside tenants with
// many volumes, claims that nobody provisions and movers that no node fits.
func runTenants(ctx context.Context, out io.Writer, form form) (f figures, err error) {
	b, err := raise(ctx, out, form, raised, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = b.close(err) }() //nolint:contextcheck // It cleans up after an interrupt too.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, err := b.startSimulation(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	f = figures{}
	if err := b.tenants(ctx, f); err != nil {
		return nil, err
	}
	if form.tenants.promised {
		err = brokenPromises(f)
	}
	return f, err
}

func (b *bench) tenants(ctx context.Context, f figures) error {
	t := b.form.tenants
	f["volumes"], f["pending_claims"], f["unschedulable_movers"] = t.volumes, t.pending, t.unschedulable
	if err := b.quiet(ctx, "idle", f); err != nil {
		return err
	}
	if err := b.busy(ctx, t); err != nil {
		return err
	}
	if err := sleep(ctx, t.settle); err != nil { // Until all is told.
		return err
	}
	var err error
	if f["requests_per_s_at_rest"], err = b.requestRate(ctx, t.settle); err != nil {
		return err
	}
	if err := b.quiet(ctx, "busy", f); err != nil {
		return err
	}
	fmt.Fprintf(
		b.out,
		"one claim Bound: %.1f s idle, %.1f s beside %d volumes, %d Pending claims and %d unschedulable movers\n",
		f.number("bound_idle_s"),
		f.number("bound_busy_s"),
		t.volumes,
		t.pending,
		t.unschedulable,
	)
	fmt.Fprintf(b.out, "manager: %.0f MB idle, %.0f MB busy; %.1f requests a second while nothing changes\n",
		f.number("rss_idle_mb"), f.number("rss_busy_mb"), f.number("requests_per_s_at_rest"))
	return b.world.ManagerWell()
}

// requestRate is what the manager asks of the API server in a time, per second.
func (b *bench) requestRate(ctx context.Context, during time.Duration) (float64, error) {
	before, err := b.world.Requests()
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, during); err != nil {
		return 0, err
	}
	after, err := b.world.Requests()
	if err != nil {
		return 0, err
	}
	return float64(withoutWatches(after[len(before):])) / during.Seconds(), nil
}

// quiet is how long a claim in a namespace of its own takes to be Bound, and what the manager
// takes after it.
func (b *bench) quiet(ctx context.Context, when string, f figures) error {
	var all []float64
	for i := range b.form.tenants.quiet {
		namespace := fmt.Sprintf("quiet-%s-%d", when, i)
		if err := b.simulatedSource(ctx, namespace, v1alpha1.Mover{}); err != nil {
			return err
		}
		began := time.Now()
		if err := b.fill(ctx, namespace, 1); err != nil {
			return err
		}
		all = append(all, time.Since(began).Seconds())
		fmt.Fprintf(b.out, "%s: %.1f s\n", namespace, all[i])
		if err := b.checkSoon(ctx, namespace, 1, promise{simulatedBytes, simulatedDigest}); err != nil {
			return err
		}
	}
	u, err := b.manager(ctx)
	f["bound_"+when+"_s"], f["rss_"+when+"_mb"] = median(all), u.rssMB
	return err
}

// simulatedSource makes a namespace with a source that no server has; kwok ends its movers.
func (b *bench) simulatedSource(ctx context.Context, namespace string, mover v1alpha1.Mover) error {
	if err := b.namespace(ctx, namespace); err != nil {
		return err
	}
	source := &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: sourceName},
		Spec: v1alpha1.S3SourceSpec{
			S3Location: v1alpha1.S3Location{Endpoint: "http://s3.test:9000", Bucket: bucket}, Mover: mover,
		},
	}
	if err := b.world.Client.Create(ctx, source); err != nil {
		return fmt.Errorf("create source: %w", err)
	}
	return nil
}

// busy fills the cluster with what other tenants have, and waits until it stands.
func (b *bench) busy(ctx context.Context, t tenants) error {
	const unprovisioned, pending, unschedulable = "unprovisioned", "busy-pending", "busy-unschedulable"
	immediate := storagev1.VolumeBindingImmediate
	class := &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: unprovisioned},
		Provisioner:       simulatedCSI,
		VolumeBindingMode: &immediate,
	}
	if err := b.world.Client.Create(ctx, class); err != nil {
		return fmt.Errorf("create class: %w", err)
	}
	nowhere := v1alpha1.Mover{NodeSelector: map[string]string{"there-is": "no-such-node"}}
	if err := errors.Join(b.simulatedSource(ctx, pending, v1alpha1.Mover{}),
		b.simulatedSource(ctx, unschedulable, nowhere)); err != nil {
		return err
	}
	fmt.Fprintln(b.out, "making the other tenants' volumes and claims")
	claims := func(namespace, class string) func(int) client.Object {
		return func(i int) client.Object {
			return b.claim(namespace, claimName(i), story.Claim{Source: sourceName, Class: class})
		}
	}
	if err := errors.Join(
		b.createAll(ctx, t.volumes, someVolume),
		b.createAll(ctx, t.pending, claims(pending, unprovisioned)),
		b.createAll(ctx, t.unschedulable, claims(unschedulable, simulatedClass))); err != nil {
		return err
	}
	ofRole := func(namespace, role string) []client.ListOption {
		return []client.ListOption{client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelRole: role}}
	}
	began := time.Now()
	err := poll(ctx, "the primes and the unschedulable movers", func() (bool, error) {
		var primes corev1.PersistentVolumeClaimList
		var movers corev1.PodList
		err := errors.Join(b.world.Client.List(ctx, &primes, ofRole(pending, v1alpha1.RolePrime)...),
			b.world.Client.List(ctx, &movers, ofRole(unschedulable, v1alpha1.RolePopulate)...))
		return len(primes.Items) >= t.pending && len(movers.Items) >= t.unschedulable, err
	})
	fmt.Fprintf(b.out, "  they stand after %.0f s\n", time.Since(began).Seconds())
	return err
}

func (b *bench) createAll(ctx context.Context, n int, object func(int) client.Object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(createsAtOnce)
	for i := range n {
		group.Go(func() error { return b.world.Client.Create(ctx, object(i)) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("create %d objects: %w", n, err)
	}
	return nil
}

// someVolume is a volume of somebody else, that no claim here fits: only readers take it.
func someVolume(i int) client.Object {
	name := fmt.Sprintf("tenant-%05d", i)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"team": "data"},
			Annotations: map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: resource.MustParse("10Gi"),
			}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
			StorageClassName: "elsewhere", PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: "csi.example.com", VolumeHandle: name,
				VolumeAttributes: map[string]string{"storage.kubernetes.io/csiProvisionerIdentity": name},
			}},
		},
	}
}
