// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// A dry run wrote nothing, so it is no success to rely on.
func TestDryRunsAreNoSuccess(t *testing.T) {
	w := newWorld(hour(3), "a").ran("a", hour(1), v1alpha1.ConditionComplete).ran("a", hour(2), v1alpha1.ConditionComplete)
	w.last(hour(3)).Exports[1].Spec.DryRun = true
	last := decide(w.state).Status.LastSuccessfulTime
	if want := w.Exports[0].Status.CompletionTime; last == nil || !last.Equal(want) {
		t.Errorf("the last success was at %v, want %v", last, want)
	}
}

// kstatus is what Flux, and whoever waits as it does, makes of conditions and generation, in the order in which it
// asks: https://github.com/kubernetes-sigs/cli-utils, pkg/kstatus/status/generic.go.
func kstatus(p *v1alpha1.S3ExportPolicy) string {
	is := func(kind string, status metav1.ConditionStatus) bool {
		return meta.IsStatusConditionPresentAndEqual(p.Status.Conditions, kind, status)
	}
	switch {
	case p.Status.ObservedGeneration != p.Generation, is("Reconciling", metav1.ConditionTrue):
		return "InProgress"
	case is("Stalled", metav1.ConditionTrue):
		return "Failed"
	case is("Ready", metav1.ConditionFalse), is("Ready", metav1.ConditionUnknown):
		return "InProgress"
	}
	return "Current"
}

// Nobody who applies a policy waits for what does not come: not for the end of its suspension, and not for a schedule
// that somebody has to correct.
func TestToolsDoNotWaitForPolicies(t *testing.T) {
	w := newWorld(hour(1), "a").ran("a", hour(1), "")
	for _, change := range []struct {
		name  string
		spec  func(*v1alpha1.S3ExportPolicySpec)
		wants string
	}{
		{"scheduled", func(*v1alpha1.S3ExportPolicySpec) {}, "Current"},
		{"suspended", func(s *v1alpha1.S3ExportPolicySpec) { s.Suspend = true }, "Current"},
		{"a schedule that is none", func(s *v1alpha1.S3ExportPolicySpec) {
			s.Suspend, s.Schedule = false, "a b c d e"
		}, "Failed"},
		{"and suspended", func(s *v1alpha1.S3ExportPolicySpec) { s.Suspend = true }, "Failed"},
		{"a selector that is none", func(s *v1alpha1.S3ExportPolicySpec) {
			s.ClaimSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Equals"}}
		}, "Failed"},
		{"corrected", func(s *v1alpha1.S3ExportPolicySpec) {
			s.Suspend, s.Schedule, s.ClaimSelector.MatchExpressions = false, "0 * * * *", nil
		}, "Current"},
		{"before deletions", func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule, s.OnDelete = "", true }, "Current"},
	} {
		change.spec(&w.Policy.Spec)
		w.Policy.Generation++
		if got := kstatus(w.Policy); got != "InProgress" {
			t.Errorf("%s, and not looked at: %s", change.name, got)
		}
		w.Policy.Status = decide(w.state).Status
		if got := kstatus(w.Policy); got != change.wants {
			t.Errorf("%s: %s, want %s; the conditions are %+v", change.name, got, change.wants, w.Policy.Status.Conditions)
		}
	}
}
