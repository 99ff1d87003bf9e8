// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func remains(since time.Duration) change {
	return func(s *State) {
		meta.SetStatusCondition(&s.Export.Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionRemovalPending, Status: metav1.ConditionTrue, Reason: "RemovalRefused",
			Message: "not on Sundays.", LastTransitionTime: ago(since),
		})
	}
}

// A removal that is refused is a condition of its own; of a run that goes on it is also what that waits for. It goes
// when the removal succeeds, and the verdict of a run that is over stays.
func TestRemaining(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in    State
		waits bool // As a run that goes on.
		again time.Duration
	}{
		"a run that goes on":  {world(by(cloneOf)), true, refusalDelay},
		"one that is deleted": {world(by(cloneOf), deleted), false, refusalDelay},
		"a suspended one":     {world(by(cloneOf), suspended), false, refusalDelay},
		"a complete one":      {world(by(cloneOf), over(v1alpha1.ConditionComplete, time.Hour)), false, refusalDelay},
		"a failed one":        {world(by(cloneOf), over(v1alpha1.ConditionFailed, time.Hour)), false, refusalDelay},
		"for a minute":        {world(by(cloneOf), deleted, remains(time.Minute)), false, refusalDelay},
		"for longer":          {world(by(cloneOf), deleted, remains(8*time.Minute)), false, 2 * time.Minute},
		"for a day":           {world(by(cloneOf), deleted, remains(24*time.Hour)), false, removalSlowest},
	} {
		d := Remaining(test.in, "not on Sundays.")
		if d.Action != Wait || d.Recheck != test.again || !strings.HasPrefix(d.Remains, "not on Sundays. What") {
			t.Errorf("%s: decided %+v", name, d)
		}
		was := test.in.Export.Status
		next := Status(test.in, d)
		c := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionRemovalPending)
		if c == nil || c.Status != metav1.ConditionTrue || c.Message != d.Remains {
			t.Errorf("%s: the conditions are %+v", name, next.Conditions)
		}
		complete := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionComplete)
		if waits := complete != nil && complete.Reason == string(v1alpha1.ReasonRemovalRefused); waits != test.waits ||
			Over(test.in.Export) && next.Phase != was.Phase {
			t.Errorf("%s: Complete is %+v, phase %s", name, complete, next.Phase)
		}
		test.in.Export.Status = next
		later := Status(test.in, Decision{Action: RemoveFinalizer})
		if meta.FindStatusCondition(later.Conditions, v1alpha1.ConditionRemovalPending) != nil {
			t.Errorf("%s: nothing ends it: %+v", name, later.Conditions)
		}
	}
}

// Who waits for a run that is over is told of what that waits for.
func TestAheadIsOver(t *testing.T) {
	t.Parallel()
	after := func(changes ...change) State {
		first := world(append([]change{by(cloneOf), over(v1alpha1.ConditionFailed, time.Hour)}, changes...)...).Export
		first.Name = "first"
		return world(func(s *State) { s.Ahead = first })
	}
	for want, s := range map[string]State{
		"not on Sundays. Wait for that":                                   after(remains(time.Hour)),
		"S3Export first has the same destination and is over":             after(),
		"has not removed yet what it made, or its uploads. Wait for that": after(),
	} {
		d := Decide(s, defaults)
		if d.Reason != v1alpha1.ReasonDestinationInUse || !strings.Contains(d.Message, want) {
			t.Errorf("decided %+v, want %q", d, want)
		}
	}
}
