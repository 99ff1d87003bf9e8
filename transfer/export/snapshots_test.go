// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What a snapshot says is read as its CRD has it, and nothing is made up where it says nothing.
func TestSnapshotOf(t *testing.T) {
	t.Parallel()
	object := func(status map[string]any) *unstructured.Unstructured {
		u := newSnapshot(metav1.ObjectMeta{Namespace: "team", Name: "s"}, "data", "snaps")
		u.Object["status"] = status
		return u
	}
	for name, test := range map[string]struct {
		status      map[string]any
		ready       bool
		size, fails string
	}{
		"nothing yet": {},
		"ready":       {status: map[string]any{"readyToUse": true, "restoreSize": "2Gi"}, ready: true, size: "2Gi"},
		"no size":     {status: map[string]any{"readyToUse": true, "restoreSize": "large"}, ready: true},
		"failed":      {status: map[string]any{"error": map[string]any{"message": "no space"}}, fails: "no space"},
		"failed without a word": {
			status: map[string]any{"error": map[string]any{"time": "now"}}, fails: "its status has an error without a message",
		},
		"not ready": {status: map[string]any{"readyToUse": false}},
	} {
		s := snapshotOf(object(test.status))
		size := ""
		if s.Size != nil {
			size = s.Size.String()
		}
		if s.ClaimName != "data" || s.Name != "s" || s.Ready != test.ready || size != test.size || s.Error != test.fails {
			t.Errorf("%s: read as %+v, size %s", name, s, size)
		}
	}
}

// The newest event counts, whichever of its times was written.
func TestLatest(t *testing.T) {
	t.Parallel()
	at := func(minute int) metav1.Time {
		return metav1.NewTime(time.Date(2026, 11, 26, 12, minute, 0, 0, time.UTC))
	}
	old := corev1.Event{Reason: "Old", Message: "a", LastTimestamp: at(1)}
	micro := corev1.Event{Reason: "New", Message: "b", EventTime: metav1.NewMicroTime(at(2).Time)}
	series := corev1.Event{Reason: "Again", Message: "c", Series: &corev1.EventSeries{
		LastObservedTime: metav1.NewMicroTime(at(3).Time),
	}}
	for want, events := range map[string][]corev1.Event{
		"": nil, "Old: a": {old}, "New: b": {micro, old}, "Again: c": {old, series, micro},
	} {
		if got := latest(events, time.Time{}); got != want {
			t.Errorf("the latest of %d is %q, want %q", len(events), got, want)
		}
	}
	pods := []corev1.Pod{{}, {ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(2)}}, {}}
	for since, want := range map[time.Time]string{lastMade(nil): "Old: a", at(1).Time: "Old: a", lastMade(pods): ""} {
		if got := latest([]corev1.Event{old}, since); got != want {
			t.Errorf("since %s the latest is %q, want %q", since, got, want)
		}
	}
}
