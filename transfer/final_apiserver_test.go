// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/final"
)

// TestFinalExport: a real API server takes every write of an export before deletion. The test does what the PV
// controller, the controller that protects claims in use, and that of S3Exports do.
func TestFinalExport(t *testing.T) {
	w := newWorld(t)
	w.finalManager(t)
	claim, volume := w.boundClaim(t)
	w.await(t, "the finalizer", func() error {
		return w.look(claim, func() error { return unless(final.Held(claim), "not held") })
	})
	if err := w.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	exportClaim := &corev1.PersistentVolumeClaim{}
	exportClaim.Namespace, exportClaim.Name = claim.Namespace, final.ExportClaimName(claim.UID)
	w.await(t, "the claim to say that it is used", func() error {
		return w.look(claim, func() error { return unless(len(claim.Status.Conditions) == 1, "says nothing") })
	})
	w.unprotect(t, claim)
	w.await(t, "the volume to be taken", func() error {
		if err := w.look(exportClaim, func() error { return nil }); err != nil {
			return err
		}
		return w.look(volume, func() error {
			return unless(volume.Spec.ClaimRef.UID == exportClaim.UID &&
				volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain, "not taken")
		})
	})
	exportClaim.Status.Phase = corev1.ClaimBound
	if err := w.Status().Update(t.Context(), exportClaim); err != nil {
		t.Fatal(err)
	}
	w.completeExport(t, final.ExportName(claim.UID))
	w.await(t, "the volume to be given back", func() error {
		return w.look(volume, func() error {
			return unless(volume.Spec.ClaimRef.UID == claim.UID && volume.Annotations[v1alpha1.AnnotationFinalExport] == "" &&
				volume.Annotations[v1alpha1.AnnotationExportedFor] == string(claim.UID) &&
				volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete, "not given back")
		})
	})
	w.await(t, "the export claim to be deleted", func() error {
		return w.look(exportClaim, func() error { return unless(exportClaim.DeletionTimestamp != nil, "not deleted") })
	})
	w.unprotect(t, exportClaim)
	w.await(t, "the claim to go", func() error {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(claim), claim)
		return unless(apierrors.IsNotFound(err), fmt.Sprintf("%v %v", claim.Finalizers, err))
	})
}

func unless(ok bool, why string) error {
	if ok {
		return nil
	}
	return errors.New(why)
}

func (w *world) look(o client.Object, judge func() error) error {
	if err := w.Get(context.Background(), client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	return judge()
}

func (w *world) finalManager(t *testing.T) {
	t.Helper()
	mgr, err := ctrl.NewManager(w.config, ctrl.Options{
		Scheme: w.scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &final.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("test"), Now: w.now,
	}
	if err := r.SetupWithManager(t.Context(), mgr); err != nil {
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
}

// boundClaim asks to be exported before it goes.
func (w *world) boundClaim(t *testing.T) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "leaving", Annotations: map[string]string{
			v1alpha1.AnnotationExportTo: "s3://backups", v1alpha1.AnnotationExportRegion: "x",
			v1alpha1.AnnotationExportRunAs: "1000", v1alpha1.AnnotationExportOnDelete: v1alpha1.ExportOnDelete,
		}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, StorageClassName: new("fast"), VolumeName: "pv-leaving",
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	w.create(t, claim)
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-leaving"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, StorageClassName: "fast",
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: "1"},
			},
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
		},
	}
	w.create(t, volume)
	return claim, volume
}

// unprotect does what Kubernetes does when no pod uses a claim any more.
func (w *world) unprotect(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	w.await(t, "the protection to go", func() error {
		return w.look(claim, func() error {
			kept := []string{}
			for _, f := range claim.Finalizers {
				if f != "kubernetes.io/pvc-protection" {
					kept = append(kept, f)
				}
			}
			claim.Finalizers = kept
			return w.Update(context.Background(), claim)
		})
	})
}

func (w *world) completeExport(t *testing.T, name string) {
	t.Helper()
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	w.await(t, "the export", func() error {
		return w.look(e, func() error {
			e.Status.Phase, e.Status.Location = v1alpha1.ExportSucceeded, "s3://backups/default/leaving/final/"
			e.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "Exported", LastTransitionTime: metav1.Now(),
			}}
			return w.Status().Update(context.Background(), e)
		})
	})
	if e.Spec.Mover.PodSecurityContext == nil || *e.Spec.Mover.PodSecurityContext.RunAsUser != 1000 {
		t.Errorf("the export runs as %+v", e.Spec.Mover.PodSecurityContext)
	}
}
