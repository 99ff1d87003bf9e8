// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// runs are named after their minute: c complete, f failed, a active, C and F dry ones; oldest first.
func runs(states string) []Run {
	all := make([]Run, 0, len(states))
	for i, s := range states {
		state := map[rune]State{'c': Complete, 'f': Failed, 'a': Active, 'C': Complete, 'F': Failed}[s]
		all = append(all, Run{Name: string(rune('0' + i)), At: time.Unix(int64(60*i), 0), State: state, Dry: s < 'a'})
	}
	return all
}

func TestRemovable(t *testing.T) {
	tests := map[string]struct {
		runs string
		keep int
		want string // Names, in order.
	}{
		"nothing":                                {runs: "", keep: 3},
		"as many as are kept":                    {runs: "ccc", keep: 3},
		"one more":                               {runs: "cccc", keep: 3, want: "0"},
		"active ones stay":                       {runs: "acacca", keep: 1, want: "13"},
		"the last complete one stays":            {runs: "ccff", keep: 0, want: "02"},
		"failures after it stay":                 {runs: "cff", keep: 2},
		"failures before it go":                  {runs: "cffc", keep: 2, want: "12"},
		"the newest failures stay":               {runs: "cffff", keep: 2, want: "12"},
		"failures alone":                         {runs: "ffff", keep: 3, want: "0"},
		"a failure between does not count":       {runs: "cfcfc", keep: 3, want: "13"},
		"dry runs push no others out":            {runs: "cfCCC", keep: 2, want: "2"},
		"others push no dry runs out":            {runs: "CFccc", keep: 2, want: "2"},
		"failures do not push complete ones out": {runs: "ccffff", keep: 2, want: "23"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := runs(tt.runs)
			for range 2 { // Whatever their order.
				if got := strings.Join(Removable(in, tt.keep), ""); got != tt.want {
					t.Errorf("removes %q, want %q", got, tt.want)
				}
				for i, j := 0, len(in)-1; i < j; i, j = i+1, j-1 {
					in[i], in[j] = in[j], in[i]
				}
			}
		})
	}
}

func TestKept(t *testing.T) {
	for name, tt := range map[string]struct {
		runs string
		keep int
		want string
	}{
		"none":                      {"fa", 2, ""},
		"the newest first":          {"cccc", 2, "32"},
		"neither dry nor failed":    {"ccfCFa", 5, "10"},
		"one is kept at least":      {"cc", 0, "1"},
		"fewer than could be":       {"fc", 3, "1"},
		"never one that is removed": {"cfcfc", 1, "4"},
	} {
		if got := strings.Join(Kept(runs(tt.runs), tt.keep), ""); got != tt.want {
			t.Errorf("%s: keeps %q, want %q", name, got, tt.want)
		}
	}
}

func TestRunsOfOneMomentHaveAnOrder(t *testing.T) {
	same := []Run{{Name: "b", State: Complete}, {Name: "a", State: Complete}}
	for range 10 {
		if got := Removable(same, 1); len(got) != 1 || got[0] != "a" {
			t.Fatalf("removes %v, want a", got)
		}
		same[0], same[1] = same[1], same[0]
	}
}

func TestMoved(t *testing.T) {
	running := &v1alpha1.S3Export{}
	further := running.DeepCopy()
	further.Status.Attempts = 1
	going := running.DeepCopy()
	going.DeletionTimestamp = &metav1.Time{}
	ended := running.DeepCopy()
	ended.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}
	for name, tt := range map[string]struct {
		before, after *v1alpha1.S3Export
		want          bool
	}{
		"further": {running, further, false}, "to be deleted": {running, going, true}, "ended": {running, ended, true},
		"told more": {ended, ended, true},
	} {
		if got := Moved(tt.before, tt.after); got != tt.want {
			t.Errorf("%s: moved %t, want %t", name, got, tt.want)
		}
	}
}

func TestRunOf(t *testing.T) {
	made := metav1.NewTime(time.Unix(60, 0))
	for name, tt := range map[string]struct {
		conditions []metav1.Condition
		want       State
	}{
		"new":      {nil, Active},
		"running":  {[]metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse}}, Active},
		"complete": {[]metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}, Complete},
		"failed":   {[]metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}, Failed},
	} {
		export := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: "e", CreationTimestamp: made}}
		export.Status.Conditions = tt.conditions
		if got := RunOf(export); got != (Run{Name: "e", At: made.Time, State: tt.want}) {
			t.Errorf("%s: %+v, want %s", name, got, tt.want)
		}
		if export.Spec.DryRun = true; !RunOf(export).Dry {
			t.Errorf("%s: a dry run counts as another", name)
		}
	}
}
