// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// older is another policy of the namespace.
func (w *world) older(name string, age time.Duration, change ...func(*v1alpha1.S3ExportPolicySpec)) *world {
	p := *w.Policy.DeepCopy()
	p.Name, p.UID, p.CreationTimestamp = name, "uid-of-another", metav1.NewTime(midnight.Add(-age))
	p.Spec.OnDelete = true
	for _, f := range change {
		f(&p.Spec)
	}
	w.Policies = append(w.Policies, p, *w.Policy)
	return w
}

func deletions(s *v1alpha1.S3ExportPolicySpec) { s.OnDelete = true }

// TestOneOfTwoPoliciesDecides, and the other one says so.
func TestOneOfTwoPoliciesDecides(t *testing.T) {
	wishes := func(c *corev1.PersistentVolumeClaim) {
		c.Annotations = map[string]string{v1alpha1.AnnotationExportOnDelete: v1alpha1.ExportOnDelete}
	}
	asks := func(c *corev1.PersistentVolumeClaim) {
		wishes(c)
		c.Annotations[v1alpha1.AnnotationExportTo] = "s3://backups"
	}
	others := func(s *v1alpha1.S3ExportPolicySpec) {
		s.ClaimSelector.MatchLabels = map[string]string{"export": "other"}
	}
	schedule := func(s *v1alpha1.S3ExportPolicySpec) { s.OnDelete = false }
	for name, tt := range map[string]struct {
		world *world
		want  string
	}{
		"an older one": {newWorld(hour(0), "a", "b").spec(deletions).older("first", time.Hour), "a, b are selected"},
		"of many claims": {
			newWorld(hour(0), "a", "b", "c", "d", "e").spec(deletions).older("first", time.Hour),
			"a, b, c and 2 more are selected",
		},
		"a younger one":        {newWorld(hour(0), "a").spec(deletions).older("later", -time.Hour), ""},
		"one for other claims": {newWorld(hour(0), "a").spec(deletions).older("first", time.Hour, others), ""},
		"one with a schedule":  {newWorld(hour(0), "a").spec(deletions).older("first", time.Hour, schedule), ""},
		"this has a schedule":  {newWorld(hour(0), "a").older("first", time.Hour), ""},
		"of a claim that says whether and not where to": {
			newWorld(hour(0)).claim("a", midnight, wishes).spec(deletions).older("first", time.Hour), "a are selected",
		},
		"of a claim that decides": {
			newWorld(hour(0)).claim("a", midnight, asks).spec(deletions).older("first", time.Hour), "",
		},
	} {
		d := decide(tt.world.state)
		text := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady).Message
		told := len(d.Events) == 1 && d.Events[0].Reason == v1alpha1.ReasonOlderPolicyDecides
		if tt.want == "" {
			if len(d.Events) > 0 || strings.Contains(text, "older policy") {
				t.Errorf("%s: says %q, tells %v", name, text, d.Events)
			}
			continue
		}
		if !told || !strings.Contains(text, tt.want) || !strings.Contains(text, "S3ExportPolicy first") {
			t.Errorf("%s: says %q, tells %v, want %q", name, text, d.Events, tt.want)
		}
		tt.world.Policy.Status = d.Status
		if again := decide(tt.world.state); len(again.Events) > 0 {
			t.Errorf("%s: tells %v again", name, again.Events)
		}
	}
}

// What the condition tells of other policies and of Block claims is one event each, also where the API server refuses
// an S3Export, so that the condition is decided twice.
func TestARefusalTellsNothingTwice(t *testing.T) {
	w := newWorld(hour(1), "a").claim("raw", midnight, device).spec(deletions).older("first", time.Hour)
	older := w.Policies[0].DeepCopy()
	s := server(t, w)
	if err := s.Create(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	refuses := interceptor.NewClient(s, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "s3exports"}, "x", nil)
		},
	})
	told := events.NewFakeRecorder(100)
	r := &Reconciler{Client: refuses, Live: s, Events: told, Now: func() time.Time { return hour(1) }}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ml", Name: "hourly"}}
	if _, err := r.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	close(told.Events)
	count := map[string]int{}
	for e := range told.Events {
		count[strings.Fields(e)[1]]++
	}
	want := map[string]int{"WriteRefused": 1, "OlderPolicyDecides": 1, "ClaimsSkipped": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestAPolicyWithoutASchedule begins no runs, and is no failure; with one it begins at the next tick.
func TestAPolicyWithoutASchedule(t *testing.T) {
	w := newWorld(hour(5).Add(time.Minute), "a").last(hour(3), "a").spec(deletions)
	w.Policy.Spec.Schedule = ""
	d := decide(w.state)
	ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	if len(d.Start)+len(d.Events) > 0 || d.Recheck > 0 || d.Status.NextScheduleTime != nil || d.Status.Waiting != nil ||
		ready.Status != metav1.ConditionTrue || ready.Reason != "OnDeleteOnly" {
		t.Errorf("decided %+v, %+v", d, ready)
	}
	w.Policy.Status, w.Policy.Spec.Schedule = d.Status, "0 * * * *"
	if d = decide(w.state); len(d.Start)+len(d.Events) > 0 || !d.Status.NextScheduleTime.Time.Equal(hour(6)) {
		t.Errorf("a schedule that is new starts %q, tells %v, next at %v", brief(d.Start), d.Events,
			d.Status.NextScheduleTime)
	}
	w.Policy.Status, w.Now = d.Status, hour(6)
	if d = decide(w.state); brief(d.Start) != "a@6" {
		t.Errorf("its first tick starts %q", brief(d.Start))
	}
}
