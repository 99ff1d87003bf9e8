// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestAClockThatWasAhead: what it noted stops no schedule, and is told.
func TestAClockThatWasAhead(t *testing.T) {
	w := newWorld(hour(3).Add(time.Minute), "a", "b").last(hour(9), "b").ran("a", hour(9), v1alpha1.ConditionComplete)
	w.Exports[0].CreationTimestamp = metav1.NewTime(hour(3))
	d := decide(w.state)
	if len(d.Start) > 0 || len(d.Status.Waiting) > 0 || !d.Status.LastScheduleTime.Time.Equal(w.Now) ||
		!d.Status.NextScheduleTime.Time.Equal(hour(4)) || len(d.Events) != 1 ||
		d.Events[0].Reason != v1alpha1.ReasonScheduledAhead || !strings.Contains(d.Events[0].Note, "2026-11-26T09:00:00Z") {
		t.Fatalf("decided %+v", d)
	}
	w.Policy.Status = d.Status
	if again := decide(w.state); len(again.Events) > 0 {
		t.Errorf("tells %v again", again.Events)
	}
	w.Now = hour(4)
	if d = decide(w.state); brief(d.Start) != "a@4 b@4" || len(d.Events) > 0 {
		t.Errorf("the next run starts %q, tells %v", brief(d.Start), d.Events)
	}
	w.Policy.Status, w.Now = d.Status, hour(9)
	d = decide(w.state)
	if brief(d.Start) != "b@9" || len(d.Events) != 1 || d.Events[0].Reason != v1alpha1.ReasonScheduledAhead {
		t.Errorf("the run that was made before its time: starts %q, tells %v", brief(d.Start), d.Events)
	}
}

// TestClocksDiffer: two managers, of which one is a little ahead, begin a run once.
func TestClocksDiffer(t *testing.T) {
	w := newWorld(hour(1).Add(-30*time.Second), "a").last(hour(1))
	if d := decide(w.state); len(d.Start)+len(d.Events) > 0 || !d.Status.LastScheduleTime.Time.Equal(hour(1)) {
		t.Errorf("decided %+v", d)
	}
}

// TestLooksAgainInTime: clocks are set, and a timer does not know.
func TestLooksAgainInTime(t *testing.T) {
	w := newWorld(hour(1), "a").last(hour(0)).spec(func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule = "0 0 1 1 *" })
	if d := decide(w.state); d.Recheck != time.Hour {
		t.Errorf("looks again in %s", d.Recheck)
	}
}

// TestWhoWaitsIsTold in the condition, by name.
func TestWhoWaitsIsTold(t *testing.T) {
	w := newWorld(hour(2), "a", "b", "c", "d")
	for _, name := range []string{"a", "b", "c", "d"} {
		w.ran(name, hour(1), "")
	}
	d := decide(w.last(hour(1)).state)
	ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	for _, want := range []string{"4 of them wait for the run of 2026-11-26T02:00:00Z", "a, b, c and 1 more"} {
		if !strings.Contains(ready.Message, want) {
			t.Errorf("says %q, want %q", ready.Message, want)
		}
	}
}
