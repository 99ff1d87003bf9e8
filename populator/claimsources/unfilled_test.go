// SPDX-License-Identifier: Apache-2.0

package claimsources

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// unreferred is a claim whose annotation led to nothing, an hour before noon.
func unreferred(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: "data", Namespace: "default", CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour)),
		Annotations: map[string]string{v1alpha1.AnnotationSource: "imagenet"},
	}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	for _, f := range change {
		f(c)
	}
	return c
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func unannotated(c *corev1.PersistentVolumeClaim) { c.Annotations = nil }

func matched(c *corev1.PersistentVolumeClaim) {
	c.Spec.VolumeName = "pv-1"
	c.Annotations[v1alpha1.AnnotationBoundByController] = "yes"
}

func preset(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv-1" }

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		claim  *corev1.PersistentVolumeClaim
		status corev1.ConditionStatus
		reason v1alpha1.Reason
		says   string
		later  bool
	}{
		"nothing was asked": {claim: unreferred(unannotated)},
		"a new claim is left in peace": {
			claim: unreferred(func(c *corev1.PersistentVolumeClaim) { c.CreationTimestamp = metav1.NewTime(noon) }),
			later: true,
		},
		"a Pending claim will be empty": {
			claim:  unreferred(),
			status: "False",
			reason: v1alpha1.ReasonNotPopulated,
			says:   "create another one",
		},
		"a URL is named": {claim: unreferred(unannotated, func(c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{v1alpha1.AnnotationURL: "s3://a"}
		}), status: "False", reason: v1alpha1.ReasonNotPopulated, says: v1alpha1.AnnotationURL},
		"a bound claim was empty": {
			claim:  unreferred(matched),
			status: "False",
			reason: v1alpha1.ReasonNotPopulated,
			says:   "volume pv-1 was empty",
		},
		"a new bound claim is told at once": {
			claim:  unreferred(matched, func(c *corev1.PersistentVolumeClaim) { c.CreationTimestamp = metav1.NewTime(noon) }),
			status: "False",
			reason: v1alpha1.ReasonNotPopulated,
		},
		"a claim restored with its volume": {
			claim:  unreferred(preset),
			status: "Unknown",
			reason: v1alpha1.ReasonLeftAlone,
			says:   "spec.volumeName was set to pv-1",
		},
		"a claim restored by data movement": {
			claim:  unreferred(matched, func(c *corev1.PersistentVolumeClaim) { c.Spec.Selector = &metav1.LabelSelector{} }),
			status: "Unknown",
			reason: v1alpha1.ReasonLeftAlone,
			says:   "spec.selector",
		},
		"a claim restored from a snapshot": {claim: unreferred(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: "monday"}
		}), status: "Unknown", reason: v1alpha1.ReasonLeftAlone, says: "VolumeSnapshot monday"},
		"a claim of another populator's": {claim: unreferred(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "Other", Name: "o"}
		}), status: "Unknown", reason: v1alpha1.ReasonLeftAlone, says: "Other o"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := judge(tt.claim, noon)
			if got.Status != tt.status || got.Reason != tt.reason || !strings.Contains(got.Message, tt.says) ||
				(got.Recheck > 0) != tt.later {
				t.Errorf("judged %+v; want %s %s %q, later: %t", got, tt.status, tt.reason, tt.says, tt.later)
			}
			if strings.Contains(strings.ToLower(got.Message), "delete") {
				t.Errorf("it tells somebody to delete something: %s", got.Message)
			}
		})
	}
}

// TestUnfilled follows one claim on an API server: told once, taken back, and at rest silent.
func TestUnfilled(t *testing.T) {
	c, err := client.New(kubetest.APIServer(t, kubetest.Options{}), client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	recorder := events.NewFakeRecorder(10)
	u := &Unfilled{Client: c, Events: recorder, Now: func() time.Time { return time.Now().Add(time.Minute) }}
	claim := unreferred()
	claim.CreationTimestamp = metav1.Time{}
	if err := c.Create(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	pass := func() *corev1.PersistentVolumeClaim {
		t.Helper()
		if _, err := u.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(claim)}); err != nil {
			t.Fatal(err)
		}
		now := &corev1.PersistentVolumeClaim{}
		if err := c.Get(context.WithoutCancel(t.Context()), client.ObjectKeyFromObject(claim), now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	told := pass()
	if got, _ := condition(told); got.Reason != string(v1alpha1.ReasonNotPopulated) || got.LastTransitionTime.IsZero() {
		t.Errorf("the condition is %+v", got)
	}
	if again := pass(); again.ResourceVersion != told.ResourceVersion {
		t.Error("it was written again at rest")
	}
	if n := len(recorder.Events); n != 1 {
		t.Errorf("there were %d events, want one", n)
	}
	told.Status.Conditions = append(
		told.Status.Conditions,
		corev1.PersistentVolumeClaimCondition{Type: "Resizing", Status: corev1.ConditionTrue},
	)
	if err := c.Status().Update(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	delete(told.Annotations, v1alpha1.AnnotationSource)
	if err := c.Update(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	gone := pass()
	if _, ok := condition(gone); ok || len(gone.Status.Conditions) != 1 {
		t.Errorf("without its annotation the claim has %+v, want somebody else's condition only", gone.Status.Conditions)
	}
	if rest := pass(); rest.ResourceVersion != gone.ResourceVersion {
		t.Error("it was written again at rest")
	}
}
