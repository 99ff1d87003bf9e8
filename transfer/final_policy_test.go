// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/final"
)

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
	held(false)
	w.create(t, policy())
	held(true)
	claim.Finalizers = claim.Finalizers[1:]
	if err := w.Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
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
