// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestALastExportStaysWhileItsVolumeIsAway: nobody believes it, its claim was forced away, and somebody deleted the
// export claim. With the S3Export the volume would be given up in the moment before that is made anew.
func TestALastExportStaysWhileItsVolumeIsAway(t *testing.T) {
	const exportClaim = "s3export-c-1"
	ref := func(namespace, name string) *corev1.ObjectReference {
		return &corev1.ObjectReference{Namespace: namespace, Name: name, UID: "x"}
	}
	recorded := func(record string, ref *corev1.ObjectReference) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationFinalExport: record}},
			Spec:       corev1.PersistentVolumeSpec{ClaimRef: ref},
		}
	}
	const own, others = `{"namespace":"team","name":"data","uid":"c-1"}`, `{"namespace":"team","name":"data","uid":"c-2"}`
	for name, tt := range map[string]struct {
		volume  *corev1.PersistentVolume
		unnamed bool // As by a version that did not name it.
		stays   bool
	}{
		"taken":                          {volume: recorded(own, ref("team", exportClaim)), stays: true},
		"taken, and given away":          {volume: recorded(own, ref("team", "other")), stays: true},
		"taken, its record says nothing": {volume: recorded("{}", ref("team", "other")), stays: true},
		"taken, its record is damaged":   {volume: recorded("{", ref("team", "other")), stays: true},
		"taken, its record was lost": {volume: &corev1.PersistentVolume{
			Spec: corev1.PersistentVolumeSpec{ClaimRef: ref("team", exportClaim)},
		}, stays: true},
		"given back": {volume: &corev1.PersistentVolume{
			Spec: corev1.PersistentVolumeSpec{ClaimRef: ref("team", "data")},
		}},
		"given back, and taken from another claim": {volume: recorded(others, ref("team", "s3export-c-2"))},
		"of a claim of another namespace": {volume: &corev1.PersistentVolume{
			Spec: corev1.PersistentVolumeSpec{ClaimRef: ref("other", exportClaim)},
		}},
		"without a claim": {volume: &corev1.PersistentVolume{}},
		"gone":            {},
		"not named, taken": {
			unnamed: true, volume: recorded(own, ref("team", exportClaim)), stays: true,
		},
		"not named, taken, its record was lost": {unnamed: true, volume: &corev1.PersistentVolume{
			Spec: corev1.PersistentVolumeSpec{ClaimRef: ref("team", exportClaim)},
		}, stays: true},
		"not named, given back": {unnamed: true, volume: &corev1.PersistentVolume{
			Spec: corev1.PersistentVolumeSpec{ClaimRef: ref("team", "data")},
		}},
		"not named, and another volume is taken": {unnamed: true, volume: recorded(others, ref("team", "s3export-c-2"))},
		"not named, gone":                        {unnamed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, wire.Report{}, 0, false)
			e := &v1alpha1.S3Export{}
			must(t, b.client.Get(t.Context(), key, e))
			e.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RoleFinalExport, v1alpha1.LabelClaimUID: "c-1"}
			if !tt.unnamed {
				e.Annotations = map[string]string{v1alpha1.AnnotationExportVolume: "pv"}
			}
			e.Spec.ClaimName, e.Spec.TTLSecondsAfterFinished = exportClaim, new(int32(60))
			must(t, b.client.Update(t.Context(), e))
			e.Status.CompletionTime = &metav1.Time{Time: b.now.Add(-time.Hour)}
			e.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "Exported",
				LastTransitionTime: metav1.NewTime(b.now),
			}}
			must(t, b.client.Status().Update(t.Context(), e))
			if tt.volume != nil {
				tt.volume.Name = "pv"
				must(t, b.client.Create(t.Context(), tt.volume))
			}
			result, err := b.reconciler(b.client).Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
			must(t, err)
			err = b.client.Get(t.Context(), key, e)
			if client.IgnoreNotFound(err) != nil || apierrors.IsNotFound(err) == tt.stays {
				t.Errorf("the S3Export stays: %t (%v), want %t", !apierrors.IsNotFound(err), err, tt.stays)
			}
			if tt.stays && result.RequeueAfter == 0 {
				t.Error("nobody looks at it again")
			}
		})
	}
}
