// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/final"
)

// ourselves is who the shipped policies of the API server take for the manager.
const ourselves = "system:serviceaccount:s3populator-system:s3populator"

// shippedImage is that of the movers which the policies allow.
const shippedImage = "docker.io/s3populator/mover:dev"

// asManager is the API server as the manager's ServiceAccount sees it.
func (w *world) asManager() *rest.Config {
	c := rest.CopyConfig(w.config)
	c.Impersonate = rest.ImpersonationConfig{UserName: ourselves, Groups: []string{"system:masters"}}
	return c
}

// pin installs the policies that say what the manager may change, and what nobody else may of its S3Exports: whatever
// it does here must be among that.
func (w *world) pin(t *testing.T) {
	t.Helper()
	for _, file := range []string{"exports.yaml", "manager.yaml", "manager_volumes.yaml"} {
		text, err := os.ReadFile("../manifests/policy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			o := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
				t.Fatal(err)
			}
			w.create(t, o)
		}
	}
	probe := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "probe"}}
	probe.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	probe.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	w.create(t, probe)
	c, err := client.New(w.asManager(), client.Options{Scheme: w.scheme})
	if err != nil {
		t.Fatal(err)
	}
	w.await(t, "the policies", func() error {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))
		err := c.Patch(t.Context(), probe.DeepCopy(), patch, client.DryRunAll)
		return unless(err != nil && strings.Contains(err.Error(), "manager-volumes"), fmt.Sprint(err))
	})
}

// testPolicy: a claim that says nothing itself is held for as long as a policy selects it, without losing the
// finalizers of others, and goes only after its export.
func (w *world) testPolicy(t *testing.T) {
	const namespace = "kept"
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	claim, volume := w.boundClaim(
		t,
		namespace,
		corev1.PersistentVolumeReclaimDelete,
		func(c *corev1.PersistentVolumeClaim) {
			c.Annotations, c.Labels = nil, map[string]string{"export": "yes"}
			c.Finalizers = []string{"example.com/other"}
		},
	)
	policy := func() *v1alpha1.S3ExportPolicy {
		p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "deletions"}}
		p.Spec.OnDelete = true
		p.Spec.ClaimSelector.MatchLabels = map[string]string{"export": "yes"}
		p.Spec.Template.Destination.S3Location = v1alpha1.S3Location{Bucket: "backups", Region: "x"}
		p.Spec.Template.Mover.PodSecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1000))}
		return p
	}
	held := func(want bool) {
		w.await(t, fmt.Sprintf("the claim to be held: %t", want), func() error {
			return w.look(t, claim, func() error {
				return unless(final.Held(claim) == want && claim.Finalizers[0] == "example.com/other" &&
					claim.Status.Phase == corev1.ClaimBound, fmt.Sprintf("%v, %s", claim.Finalizers, claim.Status.Phase))
			})
		})
	}
	w.create(t, policy())
	held(true)
	if err := w.Delete(t.Context(), policy()); err != nil {
		t.Fatal(err)
	}
	w.testUnasked(t, claim)
	held(false)
	w.create(t, policy())
	held(true)
	w.await(t, "the other finalizer to be taken away", func() error {
		return w.look(t, claim, func() error {
			claim.Finalizers = claim.Finalizers[1:]
			return w.Update(t.Context(), claim) // Others may write to it at the same time.
		})
	})
	if err := w.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition(t, claim, v1alpha1.ReasonFinalExportRunning)
	w.endExport(t, claim, v1alpha1.ConditionComplete, v1alpha1.ExportSucceeded)
	w.await(t, "the claim to go", func() error {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(claim), claim)
		return unless(apierrors.IsNotFound(err), fmt.Sprintf("%v %+v", claim.Finalizers, claim.Status.Conditions))
	})
	w.await(t, "the volume to be as it was", func() error {
		return w.look(t, volume, func() error {
			return unless(volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
				volume.Annotations[v1alpha1.AnnotationExportedFor] == string(claim.UID), fmt.Sprintf("%+v", volume))
		})
	})
}

// testUnasked: the finalizer goes a minute after the policy, and an event of the claim tells that. The clock goes on
// until it does: nobody knows when the manager saw that the policy is gone. It is woken once a second, because each
// write is one that its own may meet.
func (w *world) testUnasked(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	var woken time.Time
	w.await(t, "the claim to be told of", func() error {
		if time.Since(woken) < time.Second {
			return errors.New("it was woken just now")
		}
		woken = time.Now()
		w.clock.Add(61)
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"example.com/wake":"%d"}}}`, w.clock.Load())
		if err := w.Patch(t.Context(), claim, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			return err
		}
		var all eventsv1.EventList
		if err := w.List(t.Context(), &all, client.InNamespace(claim.Namespace)); err != nil {
			return err
		}
		for _, e := range all.Items {
			if e.Reason == string(v1alpha1.ReasonFinalExportNotAsked) && e.Regarding.UID == claim.UID &&
				e.Type == corev1.EventTypeWarning && strings.Contains(e.Note, "make the policy again") {
				return nil
			}
		}
		return fmt.Errorf("%d events, and none of them tells", len(all.Items))
	})
}
