// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/transfer/export"
)

// exporter starts a manager of S3Exports.
func (w *world) exporter(t *testing.T) *export.Reconciler {
	t.Helper()
	mgr, err := ctrl.NewManager(w.asManager(), ctrl.Options{
		Scheme: w.scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &export.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("test"), Started: time.Now(),
		Places: places.Office{Cache: mgr.GetClient(), Now: time.Now},
		Options: export.Options{
			Image: moverpod.Image{Name: shippedImage}, Defaults: moverpod.Defaults{RunAs: moverpod.NonRoot}, Now: time.Now,
			ProgressCA: func() []byte { return nil }, Workers: 1,
		},
	}
	if err := errors.Join(r.SetupWithManager(t.Context(), mgr), mgr.Add(export.Sweeper{Reconciler: r})); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the manager: %v", err)
		}
	})
	return r
}

// TestWithoutSnapshots: a cluster without VolumeSnapshots has exports all the same; one that asks for a snapshot says
// what is missing, and goes on when it is there.
func TestWithoutSnapshots(t *testing.T) {
	w := newWorld(t)
	w.bound(t, "data")
	r := w.exporter(t)
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "run"}}
	e.Spec.ClaimName, e.Spec.Consistency = "data", v1alpha1.ConsistencySnapshot
	e.Spec.Destination.Region, e.Spec.Destination.Bucket = "x", "backups"
	w.create(t, e)
	tells := func(reason v1alpha1.Reason) func() error {
		return func() error {
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(e), e); err != nil {
				return err
			}
			c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionComplete)
			if c == nil || c.Reason != string(reason) {
				return fmt.Errorf("the condition is %+v, want %s", c, reason)
			}
			return nil
		}
	}
	w.await(t, "the export to miss snapshots", tells(v1alpha1.ReasonSnapshotsUnavailable))
	if err := (export.Sweeper{Reconciler: r}).Sweep(t.Context()); err != nil {
		t.Errorf("the sweeper cannot do without snapshots: %v", err)
	}
	_, err := envtest.InstallCRDs(w.config, envtest.CRDInstallOptions{
		Paths: []string{"../internal/kubetest/snapshots"}, MaxTime: kubetest.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	woken := 0
	w.await(t, "the export to see snapshots", func() error {
		woken++
		w.annotate(t, "data", "annotations", fmt.Sprintf(`{"wake":"%d"}`, woken))
		return tells(v1alpha1.ReasonSnapshotClassNotFound)()
	})
	if err := w.Delete(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	w.await(t, "the export to go", func() error {
		var left v1alpha1.S3ExportList
		err := w.List(t.Context(), &left, client.InNamespace("default"))
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("it has finalizers %v", left.Items[0].Finalizers)
		}
		return err
	})
}

// bound makes a claim that has a volume of a CSI driver, with a class.
func (w *world) bound(t *testing.T, name string) {
	t.Helper()
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.test"}
	if err := client.IgnoreAlreadyExists(w.Create(t.Context(), class)); err != nil {
		t.Fatal(err)
	}
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name}}
	volume.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	volume.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	volume.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "csi.test", VolumeHandle: "h"}
	w.create(t, volume)
	c := claim(name, nil)
	c.Spec.StorageClassName, c.Spec.VolumeName = new("fast"), volume.Name
	w.create(t, c)
	c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, volume.Spec.Capacity
	if err := w.Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}
