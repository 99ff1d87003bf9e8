// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestClaimsInTheCache: a claim that we have to say something about is kept whole.
func TestClaimsInTheCache(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*corev1.PersistentVolumeClaim)
		whole  bool
	}{
		"somebody else's": {change: func(*corev1.PersistentVolumeClaim) {}},
		"another project's": {change: func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: new("a.io"), Kind: v1alpha1.KindS3Source, Name: "s"}
		}},
		"ours": {change: func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{
				APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source,
				Name: "s",
			}
		}, whole: true},
		"a prime": {change: func(c *corev1.PersistentVolumeClaim) {
			c.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RolePrime}
		}, whole: true},
		"held until it is exported": {
			change: func(c *corev1.PersistentVolumeClaim) { c.Finalizers = []string{v1alpha1.FinalizerFinalExport} },
			whole:  true,
		},
		"annotated": {
			change: func(c *corev1.PersistentVolumeClaim) { c.Annotations[v1alpha1.AnnotationSource] = "s" },
			whole:  true,
		},
		"annotated with a URL": {
			change: func(c *corev1.PersistentVolumeClaim) { c.Annotations[v1alpha1.AnnotationURL] = "s3://s" },
			whole:  true,
		},
		"no longer annotated": {change: func(c *corev1.PersistentVolumeClaim) {
			c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: v1alpha1.ConditionPopulated}}
		}, whole: true},
		"annotated for exports": {
			change: func(c *corev1.PersistentVolumeClaim) { c.Annotations[v1alpha1.ExportPrefix+"misspelt"] = "" },
			whole:  true,
		},
		"with a note about exports": {
			change: func(c *corev1.PersistentVolumeClaim) { c.Annotations[v1alpha1.AnnotationExportedTick] = "x" },
			whole:  true,
		},
		"exported": {change: func(c *corev1.PersistentVolumeClaim) {
			c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: v1alpha1.ConditionExported}}
		}, whole: true},
		"in another's trouble": {change: func(c *corev1.PersistentVolumeClaim) {
			c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: "Resizing"}}
		}},
	} {
		claim := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: "data", CreationTimestamp: metav1.Now(), Annotations: map[string]string{"a": "b"},
			},
		}
		tt.change(claim)
		got, err := slimClaim(claim)
		if err != nil || (len(got.(*corev1.PersistentVolumeClaim).Annotations) > 0) != tt.whole ||
			got.(*corev1.PersistentVolumeClaim).CreationTimestamp.IsZero() {
			t.Errorf("%s: kept %+v (%v), want it whole: %t", name, got, err, tt.whole)
		}
	}
}

// TestModesInTheCache: a policy exports claims with files only, and knows the others by their mode.
func TestModesInTheCache(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeMode: new(corev1.PersistentVolumeBlock)},
	}
	got, err := slimClaim(claim)
	if err != nil {
		t.Fatal(err)
	}
	if mode := got.(*corev1.PersistentVolumeClaim).Spec.VolumeMode; mode == nil || *mode != corev1.PersistentVolumeBlock {
		t.Errorf("volumeMode Block is kept as %v", mode)
	}
}

// TestPodsInTheCache: a thousand movers of sources with long lists of objects fit in memory.
func TestPodsInTheCache(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "mover", Annotations: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{
			NodeName: "n", Volumes: make([]corev1.Volume, 3),
			Containers: []corev1.Container{{Name: "mover", Args: []string{strings.Repeat("x", 128<<10)}}, {Name: "sidecar"}},
		},
	}
	kept, err := slimPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	got := kept.(*corev1.Pod)
	if got.Size() > 200 || len(got.Spec.Containers) != 2 || got.Spec.NodeName != "n" || got.Annotations["a"] != "b" {
		t.Errorf("%d bytes are kept: %+v", got.Size(), got)
	}
}
