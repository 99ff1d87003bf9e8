// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/transfer/final"
)

// TestFinalExport: an export before deletion with the API server and the controllers of Kubernetes that bind,
// release and protect claims and volumes. Of all else the test plays a pod, and the controller of S3Exports.
func TestFinalExport(t *testing.T) {
	w := newWorld(t)
	w.controllers(t, ofVolumes)
	w.pin(t)
	w.finalManager(t)
	for _, policy := range []corev1.PersistentVolumeReclaimPolicy{
		corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain,
	} {
		t.Run(string(policy), func(t *testing.T) { w.testFinalExport(t, policy) })
	}
	t.Run("policy", w.testPolicy)
	t.Run("skipped", w.testSkipped)
	t.Run("namespace", w.testNamespaceDeleted)
}

// testSkipped: an export that failed keeps the claim until a user gives it up; then everything is as before.
func (w *world) testSkipped(t *testing.T) {
	claim, volume := w.failing(t, "skips")
	w.await(t, "the annotation", func() error {
		patch := []byte(`{"metadata":{"annotations":{"` + v1alpha1.AnnotationSkipFinalExport + `":"true"}}}`)
		return w.Patch(t.Context(), claim, client.RawPatch(types.MergePatchType, patch))
	})
	w.goesUnexported(t, claim, volume)
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: claim.Namespace, Name: final.ExportName(claim.UID)}}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(e), e); !apierrors.IsNotFound(err) {
		t.Errorf("the S3Export is left: %v", err)
	}
}

// testNamespaceDeleted: the namespace can go, and the volume is given back first.
func (w *world) testNamespaceDeleted(t *testing.T) {
	claim, volume := w.failing(t, "goes")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: claim.Namespace}}
	if err := w.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	w.goesUnexported(t, claim, volume)
	w.await(t, "the namespace to go", func() error {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace)
		return unless(apierrors.IsNotFound(err), fmt.Sprintf("%+v", namespace.Status))
	})
}

// failing is a claim in a namespace of its own that does not go, because its export has failed.
func (w *world) failing(t *testing.T, namespace string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	t.Helper()
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	claim, volume := w.boundClaim(t, namespace, corev1.PersistentVolumeReclaimDelete)
	w.await(t, "the claim to be held and Bound", func() error {
		return w.look(t, claim, func() error {
			return unless(final.Held(claim) && claim.Status.Phase == corev1.ClaimBound, string(claim.Status.Phase))
		})
	})
	if err := w.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	w.endExport(t, claim, v1alpha1.ConditionFailed, v1alpha1.ExportFailed)
	w.awaitCondition(t, claim, v1alpha1.ReasonFinalExportFailed)
	return claim, volume
}

func (w *world) goesUnexported(t *testing.T, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) {
	t.Helper()
	w.await(t, "the claim to go", func() error {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(claim), claim)
		return unless(apierrors.IsNotFound(err), fmt.Sprintf("%v %+v", claim.Finalizers, claim.Status.Conditions))
	})
	w.await(t, "the volume to be as it was", func() error {
		return w.look(t, volume, func() error {
			return unless(volume.Status.Phase == corev1.VolumeReleased && volume.Spec.ClaimRef.UID == claim.UID &&
				volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
				volume.Annotations[v1alpha1.AnnotationFinalExport]+volume.Annotations[v1alpha1.AnnotationExportedFor] == "",
				fmt.Sprintf("%+v", volume))
		})
	})
}

func (w *world) testFinalExport(t *testing.T, policy corev1.PersistentVolumeReclaimPolicy) {
	claim, volume := w.boundClaim(t, "default", policy)
	w.await(t, "the claim to be held and Bound", func() error {
		return w.look(t, claim, func() error {
			return unless(final.Held(claim) && claim.Status.Phase == corev1.ClaimBound, string(claim.Status.Phase))
		})
	})
	user := userOf(claim)
	w.create(t, user)
	if err := w.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition(t, claim, v1alpha1.ReasonClaimInUse)
	if err := w.Delete(t.Context(), user, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition(t, claim, v1alpha1.ReasonFinalExportRunning)
	exportClaim := &corev1.PersistentVolumeClaim{}
	exportClaim.Namespace, exportClaim.Name = claim.Namespace, final.ExportClaimName(claim.UID)
	w.await(t, "the export claim to be Bound, and the claim to be Lost", func() error {
		return errors.Join(
			w.look(t, exportClaim, func() error {
				return unless(exportClaim.Status.Phase == corev1.ClaimBound, string(exportClaim.Status.Phase))
			}),
			w.look(t, claim, func() error { return unless(claim.Status.Phase == corev1.ClaimLost, string(claim.Status.Phase)) }),
			w.look(t, volume, func() error {
				return unless(volume.Spec.ClaimRef.UID == exportClaim.UID && volume.Status.Phase == corev1.VolumeBound &&
					volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain, "not taken")
			}))
	})
	w.endExport(t, claim, v1alpha1.ConditionComplete, v1alpha1.ExportSucceeded)
	w.await(t, "both claims to go", func() error {
		for _, c := range []*corev1.PersistentVolumeClaim{claim, exportClaim} {
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(c), c); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s is %s with %v: %+v (%w)", c.Name, c.Status.Phase, c.Finalizers, c.Status.Conditions, err)
			}
		}
		return nil
	})
	w.await(t, "the volume to be as it was", func() error {
		return w.look(t, volume, func() error {
			return unless(volume.Status.Phase == corev1.VolumeReleased && volume.Spec.ClaimRef.UID == claim.UID &&
				volume.Spec.PersistentVolumeReclaimPolicy == policy && volume.Annotations[v1alpha1.AnnotationFinalExport] == "" &&
				volume.Annotations[v1alpha1.AnnotationExportedFor] == string(claim.UID), fmt.Sprintf("%+v", volume))
		})
	})
}

// ofVolumes are the controllers of Kubernetes that have to do with claims and volumes.
const ofVolumes = "persistentvolume-binder-controller,persistentvolumeclaim-protection-controller," +
	"persistentvolume-protection-controller,namespace-controller"

// controllers starts some of Kubernetes.
func (w *world) controllers(t *testing.T, names string) {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			"c": {Server: w.config.Host, CertificateAuthorityData: w.config.CAData},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			"a": {ClientCertificateData: w.config.CertData, ClientKeyData: w.config.KeyData},
		},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "a"}},
		CurrentContext: "x",
	}, kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(
		t.Context(),
		kubetest.Program(t, "kube-controller-manager"),
		"--kubeconfig="+kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--pvclaimbinder-sync-period=1s",
		"--controllers="+names,
	)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
}

// userOf is a pod that uses a claim: Kubernetes goes by its node, and asks nobody whether it runs.
func userOf(claim *corev1.PersistentVolumeClaim) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: claim.Namespace, Name: "user-of-" + claim.Name},
		Spec: corev1.PodSpec{
			NodeName: "nowhere", Containers: []corev1.Container{{Name: "app", Image: "app"}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name},
			}}},
		},
	}
}

func (w *world) awaitCondition(t *testing.T, claim *corev1.PersistentVolumeClaim, reason v1alpha1.Reason) {
	t.Helper()
	w.await(t, "the claim to say "+string(reason), func() error {
		return w.look(t, claim, func() error {
			for _, c := range claim.Status.Conditions {
				if c.Type == v1alpha1.ConditionFinalExport && c.Reason == string(reason) {
					return nil
				}
			}
			return fmt.Errorf("it says %+v", claim.Status.Conditions)
		})
	})
}

func unless(ok bool, why string) error {
	if ok {
		return nil
	}
	return errors.New(why)
}

func (w *world) look(t *testing.T, o client.Object, judge func() error) error {
	t.Helper()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	return judge()
}

func (w *world) finalManager(t *testing.T) {
	t.Helper()
	mgr, err := ctrl.NewManager(w.asManager(), ctrl.Options{
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
func (w *world) boundClaim(
	t *testing.T, namespace string, policy corev1.PersistentVolumeReclaimPolicy,
	change ...func(*corev1.PersistentVolumeClaim),
) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	t.Helper()
	name := namespace + "-" + strings.ToLower(string(policy))
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{
			v1alpha1.AnnotationExportTo: "s3://backups", v1alpha1.AnnotationExportRegion: "x",
			v1alpha1.AnnotationExportRunAs: "1000", v1alpha1.AnnotationExportOnDelete: v1alpha1.ExportOnDelete,
		}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, StorageClassName: new("fast"), VolumeName: "pv-" + name,
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	for _, f := range change {
		f(claim)
	}
	w.create(t, claim)
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, StorageClassName: "fast",
			PersistentVolumeReclaimPolicy: policy,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: name},
			},
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
		},
	}
	w.create(t, volume)
	return claim, volume
}

// endExport does what the controller of S3Exports does in the end.
func (w *world) endExport(
	t *testing.T, claim *corev1.PersistentVolumeClaim, condition string, phase v1alpha1.ExportPhase,
) {
	t.Helper()
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: claim.Namespace, Name: final.ExportName(claim.UID)}}
	w.await(t, "the export", func() error {
		reads := &corev1.PersistentVolumeClaim{}
		key := client.ObjectKey{Namespace: claim.Namespace, Name: final.ExportClaimName(claim.UID)}
		if err := w.Get(t.Context(), key, reads); err != nil {
			return err
		}
		return w.look(t, e, func() error {
			e.Status.ClaimUID = string(reads.UID)
			e.Status.Phase, e.Status.Location = phase, "s3://backups/default/leaving/final/"
			e.Status.Conditions = []metav1.Condition{
				{Type: condition, Status: metav1.ConditionTrue, Reason: "Ended", LastTransitionTime: metav1.Now()},
			}
			return w.Status().Update(t.Context(), e)
		})
	})
	if e.Spec.Mover.PodSecurityContext == nil || *e.Spec.Mover.PodSecurityContext.RunAsUser != 1000 {
		t.Errorf("the export runs as %+v", e.Spec.Mover.PodSecurityContext)
	}
}
