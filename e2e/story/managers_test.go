// SPDX-License-Identifier: Apache-2.0

package story

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEndedEarly: a replica may die of nothing but of being deleted while it starts.
func TestEndedEarly(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	deleted := func(after time.Duration) *corev1.Pod {
		p := &corev1.Pod{}
		p.DeletionGracePeriodSeconds = new(int64(30))
		p.DeletionTimestamp = new(metav1.NewTime(started.Add(after + 30*time.Second)))
		return p
	}
	for name, tt := range map[string]struct {
		pod    *corev1.Pod
		code   int32
		reason string
		want   bool
	}{
		"a panic":                                   {&corev1.Pod{}, 2, "Error", false},
		"killed, and nobody deleted it":             {&corev1.Pod{}, 137, "OOMKilled", false},
		"signalled before it listened":              {deleted(0), 2, "Error", true},
		"never there":                               {deleted(0), 137, "ContainerStatusUnknown", true},
		"deleted before it was there, and killed":   {deleted(-time.Second), 137, "Error", true},
		"deleted as it began, and killed":           {deleted(time.Second), 137, "Error", true},
		"deleted later, and killed: it did not end": {deleted(2 * time.Second), 137, "Error", false},
		"deleted, and failed":                       {deleted(0), 1, "Error", false},
	} {
		end := &corev1.ContainerStateTerminated{ExitCode: tt.code, Reason: tt.reason, StartedAt: metav1.NewTime(started)}
		if got := endedEarly(tt.pod, end); got != tt.want {
			t.Errorf("%s: ended early %t, want %t", name, got, tt.want)
		}
	}
}
