// SPDX-License-Identifier: Apache-2.0

package final

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestEarlierRuns: what a last run without a file is compared with is the last complete one of this claim that had any.
func TestEarlierRuns(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	earlier := func(name string, hour int, change ...func(*v1alpha1.S3Export)) *v1alpha1.S3Export {
		e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}
		e.Status.ClaimUID, e.Status.Objects = string(uid), 7
		e.Status.CompletionTime = &metav1.Time{Time: time.Date(2026, 11, 26, hour, 0, 0, 0, time.UTC)}
		e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
		for _, f := range change {
			f(e)
		}
		return e
	}
	for name, tt := range map[string]struct {
		last change
		want string
	}{
		"no file": {complete, "second"}, "not complete": {run, ""},
		"some files": {but(func(e *v1alpha1.S3Export) { e.Status.Objects = 3 }), ""},
	} {
		last := world(taken, exportClaim, tt.last).Export
		last.ResourceVersion = ""
		c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
			last, earlier("first", 1), earlier("second", 2),
			earlier("another", 3, func(e *v1alpha1.S3Export) { e.Status.ClaimUID = "other" }),
			earlier("dry", 4, func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }),
			earlier("failed", 5, func(e *v1alpha1.S3Export) { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed }),
			earlier("empty", 6, func(e *v1alpha1.S3Export) { e.Status.Objects = 0 }),
			earlier("elsewhere", 7, func(e *v1alpha1.S3Export) { e.Namespace = "other" }),
		).Build()
		r, s := &Reconciler{Live: c}, State{Namespace: "team", UID: uid}
		if err := r.observeRun(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		got := ""
		if s.Earlier != nil {
			got = s.Earlier.Name
		}
		if got != tt.want {
			t.Errorf("%s: compared with %q, want %q", name, got, tt.want)
		}
	}
}
