// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

func TestLongMessagesAreCut(t *testing.T) {
	w := newWorld(hour(5)).export("1", v1alpha1.ConditionFailed, hour(1), func(e *v1alpha1.S3Export) {
		e.Status.Conditions[0].Message = strings.Repeat("ä", 3000)
	})
	if v := judge(w.state, nil); len(v.Message) > maxMessage+3 || !strings.HasSuffix(v.Message, "ä...") {
		t.Errorf("a message of %d bytes ends with %q", len(v.Message), v.Message[len(v.Message)-8:])
	}
}
