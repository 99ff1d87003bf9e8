// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// What is not worth a word: an export that runs, or waits for its turn.
func TestKeeps(t *testing.T) {
	for _, reason := range []v1alpha1.Reason{v1alpha1.ReasonExporting, v1alpha1.ReasonQueued} {
		w := newWorld(hour(5)).export("1", "", hour(1))
		w.Exports[0].Status.Conditions = []metav1.Condition{
			{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: string(reason), Message: "x"},
		}
		if got := judge(w.state, nil).Message; strings.Contains(got, "waits") {
			t.Errorf("%s: %s", reason, got)
		}
	}
}

// What keeps an export is told when it changes; how far it is wakes nobody.
func TestConcerns(t *testing.T) {
	running := newWorld(hour(5)).export("1", "", hour(1)).Exports[0]
	further, waits := running.DeepCopy(), running.DeepCopy()
	further.Status.Attempts = 1
	waits.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: "ClaimInUse", Message: "x"},
	}
	for name, tt := range map[string]struct {
		before, after *v1alpha1.S3Export
		want          bool
	}{
		"further": {&running, further, false}, "waits": {&running, waits, true}, "waits no more": {waits, further, true},
		"waits still": {waits, waits, false},
	} {
		if got := concerns(event.UpdateEvent{ObjectOld: tt.before, ObjectNew: tt.after}); got != tt.want {
			t.Errorf("%s: concerns the claim %t, want %t", name, got, tt.want)
		}
	}
}

// Files that went while they were read may be missing in what is complete.
func TestGoneFilesAreTold(t *testing.T) {
	w := newWorld(hour(5)).export("1", v1alpha1.ConditionComplete, hour(1), func(e *v1alpha1.S3Export) {
		e.Status.GoneFiles = 3
	})
	if v := judge(w.state, nil); !strings.Contains(v.Message, "3 files were removed, renamed or moved") {
		t.Errorf("says %q", v.Message)
	}
}

// A failure is told until what it was to hold is complete, by the same policy or the annotations of the claim.
func TestMadeGood(t *testing.T) {
	part := func(e *v1alpha1.S3Export) { e.Spec.Exclude = []string{"tmp/**"} }
	other := func(e *v1alpha1.S3Export) { e.Spec.Path = "db" }
	all := func(*v1alpha1.S3Export) {}
	byHand := func(e *v1alpha1.S3Export) { e.OwnerReferences = nil }
	by := func(policy string) func(*v1alpha1.S3Export) {
		return func(e *v1alpha1.S3Export) {
			e.OwnerReferences = []metav1.OwnerReference{
				{Kind: "S3ExportPolicy", Name: policy, UID: types.UID(policy), Controller: new(true)},
			}
		}
	}
	for name, tt := range map[string]struct {
		failed, since func(*v1alpha1.S3Export)
		want          v1alpha1.Reason
	}{
		"the same":                {all, all, v1alpha1.ReasonExported},
		"the same part":           {part, part, v1alpha1.ReasonExported},
		"another part":            {part, other, v1alpha1.ReasonExportFailed},
		"all of it after a part":  {part, all, v1alpha1.ReasonExported},
		"the same policy":         {by("offsite"), by("offsite"), v1alpha1.ReasonExported},
		"another policy":          {by("offsite"), by("nightly"), v1alpha1.ReasonExportFailed},
		"annotations of a claim":  {by("offsite"), all, v1alpha1.ReasonExportFailed},
		"by hand after a policy":  {by("offsite"), byHand, v1alpha1.ReasonExportFailed},
		"anything after one hand": {byHand, by("nightly"), v1alpha1.ReasonExported},
		"an empty one alone":      {all, emptied, v1alpha1.ReasonExported},
	} {
		w := newWorld(hour(5)).export("1", v1alpha1.ConditionFailed, hour(1), tt.failed).
			export("2", v1alpha1.ConditionComplete, hour(2), tt.since)
		if v := judge(w.state, nil); v.Reason != tt.want || !strings.Contains(v.Message, "S3Export 2 was complete") {
			t.Errorf("%s: %+v, want %s", name, v, tt.want)
		}
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	w := newWorld(hour(5)).export("1", v1alpha1.ConditionFailed, hour(1), func(e *v1alpha1.S3Export) {
		e.Status.Conditions[0].Message = strings.Repeat("ä", 3000)
	})
	if v := judge(w.state, nil); len(v.Message) > maxMessage+3 || !strings.HasSuffix(v.Message, "ä...") {
		t.Errorf("a message of %d bytes ends with %q", len(v.Message), v.Message[len(v.Message)-8:])
	}
}

// A claim that was deleted takes its runs with it. A cache that shows the one and not the other makes no warning.
func TestAGoneClaimHasNoWarning(t *testing.T) {
	w := newWorld(hour(5)).export("1", v1alpha1.ConditionFailed, hour(1))
	for name, want := range map[string]int{"there": 1, "gone": 0} {
		c, told := server(t, w), events.NewFakeRecorder(10)
		seen := w.state
		seen.Claim = claimOf(t, c)
		if name == "gone" {
			if err := c.Delete(t.Context(), seen.Claim.DeepCopy()); err != nil {
				t.Fatal(err)
			}
		}
		r := &Reconciler{Client: c, Events: told}
		if err := r.report(t.Context(), seen, nil); err != nil || len(told.Events) != want {
			t.Errorf("%s: told are %d, %v", name, len(told.Events), err)
		}
	}
}
