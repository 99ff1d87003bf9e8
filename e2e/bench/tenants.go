// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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

// What the other tenants have, at scale 1.
const (
	tenantVolumes       = 10000
	tenantPending       = 2000
	tenantUnschedulable = 500
)

// What is promised to a tenant beside them.
const (
	promisedFactor = 2.0
	promisedRSS    = 256 << 20 // The memory limit of manifests/manager, in bytes.
)

// quietClaims is how many claims of quiet tenants are measured; their median counts.
const quietClaims = 5

// createsAtOnce fills the cluster in a minute or two.
const createsAtOnce = 20

// tenantFigures are times in seconds and memory in MB (10^6 bytes).
type tenantFigures struct {
	Volumes       int     `json:"volumes"`
	Pending       int     `json:"pending_claims"`
	Unschedulable int     `json:"unschedulable_movers"`
	Idle          float64 `json:"bound_idle_s"`
	Busy          float64 `json:"bound_busy_s"`
	RSSIdle       float64 `json:"rss_idle_mb"`
	RSSBusy       float64 `json:"rss_busy_mb"`
	// Requests of the manager per second, without watches, while nothing changes.
	AtRest float64 `json:"requests_per_s_at_rest"`
}

// broken are the promises that a run did not keep.
func (f tenantFigures) broken() error {
	var all []error
	if f.Busy > promisedFactor*f.Idle {
		all = append(
			all,
			fmt.Errorf(
				"a claim beside busy tenants is Bound after %.1f s, promised is %.1f x %.1f s",
				f.Busy,
				promisedFactor,
				f.Idle,
			),
		)
	}
	if f.RSSBusy*1e6 > promisedRSS {
		all = append(all, fmt.Errorf("the manager takes %.0f MB, its limit is %.0f MB", f.RSSBusy, promisedRSS/1e6))
	}
	return errors.Join(all...)
}

// runTenants measures a claim of a quiet tenant, first alone and then beside tenants with
// many volumes, claims that nobody provisions and movers that no node fits.
func runTenants(ctx context.Context, out io.Writer, scale int) (err error) {
	world, err := story.Raise(ctx, story.Options{Skip: story.Unused, Measured: true, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close(err == nil)) }() //nolint:contextcheck // It cleans up after an interrupt too.
	b := &bench{world: world, out: out, scale: scale}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, err := b.startSimulation(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	f, err := b.tenants(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"one claim Bound: %.1f s idle, %.1f s beside %d volumes, %d Pending claims and %d unschedulable movers\n",
		f.Idle,
		f.Busy,
		f.Volumes,
		f.Pending,
		f.Unschedulable,
	)
	fmt.Fprintf(
		out,
		"manager: %.0f MB idle, %.0f MB busy; %.1f requests a second while nothing changes\n",
		f.RSSIdle,
		f.RSSBusy,
		f.AtRest,
	)
	return errors.Join(f.broken(), json.NewEncoder(out).Encode(f))
}

func (b *bench) tenants(ctx context.Context) (f tenantFigures, err error) {
	f.Volumes, f.Pending, f.Unschedulable = tenantVolumes/b.scale, tenantPending/b.scale, tenantUnschedulable/b.scale
	if f.Idle, err = b.quiet(ctx, "idle"); err != nil {
		return f, err
	}
	if f.RSSIdle, _, err = b.manager(ctx); err != nil {
		return f, err
	}
	if err := b.busy(ctx, f); err != nil {
		return f, err
	}
	if err := sleep(ctx, time.Minute/time.Duration(b.scale)); err != nil { // Until all is told.
		return f, err
	}
	if f.AtRest, err = b.requestRate(ctx, time.Minute/time.Duration(b.scale)); err != nil {
		return f, err
	}
	if f.Busy, err = b.quiet(ctx, "busy"); err != nil {
		return f, err
	}
	f.RSSBusy, _, err = b.manager(ctx)
	return f, err
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
	n := 0
	for _, r := range after[min(len(before), len(after)):] {
		if r.Verb != "watch" {
			n++
		}
	}
	return float64(n) / during.Seconds(), err
}

// quiet is how long a claim in a namespace of its own takes to be Bound.
func (b *bench) quiet(ctx context.Context, when string) (float64, error) {
	var all []float64
	for i := range quietClaims {
		namespace := fmt.Sprintf("quiet-%s-%d", when, i)
		if err := b.simulatedSource(ctx, namespace, v1alpha1.Mover{}); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := b.fill(ctx, namespace, 1); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began).Seconds())
		fmt.Fprintf(b.out, "%s: %.1f s\n", namespace, all[i])
	}
	return median(all), nil
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
func (b *bench) busy(ctx context.Context, f tenantFigures) error {
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
	if err := errors.Join(b.simulatedSource(ctx, pending, v1alpha1.Mover{}), b.simulatedSource(ctx, unschedulable, nowhere)); err != nil {
		return err
	}
	fmt.Fprintln(b.out, "making the other tenants' volumes and claims")
	claims := func(namespace, class string) func(int) client.Object {
		return func(i int) client.Object {
			return b.claim(namespace, fmt.Sprintf("data-%d", i), story.Claim{Source: sourceName, Class: class})
		}
	}
	if err := errors.Join(b.createAll(ctx, f.Volumes, someVolume), b.createAll(ctx, f.Pending, claims(pending, unprovisioned)),
		b.createAll(ctx, f.Unschedulable, claims(unschedulable, simulatedClass))); err != nil {
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
		return len(primes.Items) >= f.Pending && len(movers.Items) >= f.Unschedulable, err
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
				Driver: "csi.example.com", VolumeHandle: name, VolumeAttributes: map[string]string{"storage.kubernetes.io/csiProvisionerIdentity": name},
			}},
		},
	}
}
