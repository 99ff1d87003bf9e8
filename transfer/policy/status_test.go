// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

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
