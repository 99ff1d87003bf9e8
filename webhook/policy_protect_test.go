// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// testProtectedNamespaces: nobody deletes a namespace that an administrator protects, and any other goes.
func (c *cast) testProtectedNamespaces(t *testing.T) {
	installFile(t, c, "../manifests/components/protect-namespaces/policy.yaml")
	kept := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "kept", Labels: map[string]string{"s3populator.io/protect": "true"},
	}}
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "other", Labels: map[string]string{"s3populator.io/protect": "false"},
	}}
	c.create(t, kept)
	c.create(t, other)
	await(t, "the policy", func() bool {
		err := c.Delete(t.Context(), kept.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "namespace kept is labelled s3populator.io/protect=true")
	})
	if err := c.Delete(t.Context(), other, client.DryRunAll); err != nil {
		t.Errorf("a namespace that is not protected is refused: %v", err)
	}
}

// testProtectedClaims: a claim that is to be exported before it goes waits for our finalizer, and nothing waits for
// ever.
func (c *cast) testProtectedClaims(t *testing.T) {
	installFile(t, c, "../manifests/components/protect-claims/policy.yaml")
	asks := func(p *corev1.PersistentVolumeClaim) {
		annotate(v1alpha1.AnnotationExportOnDelete, "true")(p)
		annotate(v1alpha1.AnnotationExportTo, "s3://backups")(p)
		p.Spec.VolumeName = "pv-1"
	}
	const namespaces, collector = "system:serviceaccount:kube-system:namespace-controller",
		"system:serviceaccount:kube-system:generic-garbage-collector"
	for _, user := range []string{namespaces, collector} {
		c.as[user] = c.client(t, user, "system:masters")
	}
	refused := "claim unheld asks to be exported before it goes"
	probe := newClaim("plain", "unheld", asks)
	c.create(t, probe)
	await(t, "the policy", func() bool {
		err := c.as[claimer].Delete(t.Context(), probe.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), refused)
	})
	for name, tt := range map[string]struct {
		who    string
		change func(*corev1.PersistentVolumeClaim)
		want   string
	}{
		"unheld":              {claimer, func(*corev1.PersistentVolumeClaim) {}, "Wait until the manager"},
		"by-an-administrator": {root, func(*corev1.PersistentVolumeClaim) {}, "s3populator.io/skip-final-export=true"},
		"by-a-statefulset":    {statefulSet, func(*corev1.PersistentVolumeClaim) {}, "would be lost"},
		"held": {claimer, func(p *corev1.PersistentVolumeClaim) {
			p.Finalizers = []string{"example.com/other", v1alpha1.FinalizerFinalExport}
		}, ""},
		"held-by-others": {
			claimer, func(p *corev1.PersistentVolumeClaim) { p.Finalizers = []string{"example.com/other"} }, "would be lost",
		},
		"skipped":          {claimer, annotate(v1alpha1.AnnotationSkipFinalExport, "true"), ""},
		"skipped-not":      {claimer, annotate(v1alpha1.AnnotationSkipFinalExport, "false"), "would be lost"},
		"asks-not":         {claimer, annotate(v1alpha1.AnnotationExportOnDelete, "false"), ""},
		"says-not-where":   {claimer, annotate(v1alpha1.AnnotationExportTo, ""), ""},
		"without-a-volume": {claimer, func(p *corev1.PersistentVolumeClaim) { p.Spec.VolumeName = "" }, ""},
		"a-device": {claimer, func(p *corev1.PersistentVolumeClaim) {
			p.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
		}, ""},
		"with-its-namespace": {namespaces, func(*corev1.PersistentVolumeClaim) {}, ""},
		"with-its-owner":     {collector, func(*corev1.PersistentVolumeClaim) {}, ""},
		"by-the-controllers": {controllers, func(*corev1.PersistentVolumeClaim) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			claim := probe
			if name != "unheld" {
				claim = newClaim("plain", name, asks, tt.change)
				c.create(t, claim)
			}
			checkOutcome(t, tt.who, c.as[tt.who].Delete(t.Context(), claim, client.DryRunAll), tt.want)
		})
	}
	c.goesInTheEnd(t, newClaim("plain", "going", asks, func(p *corev1.PersistentVolumeClaim) {
		p.Finalizers = []string{"example.com/other"}
	}))
}

// goesInTheEnd: who deletes again what is being deleted already is not refused.
func (c *cast) goesInTheEnd(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	c.create(t, claim)
	if err := c.as[controllers].Delete(t.Context(), claim.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	checkOutcome(t, claimer, c.as[claimer].Delete(t.Context(), claim.DeepCopy()), "")
}
