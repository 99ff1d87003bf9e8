// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestLastWithFiles: the order in which runs are listed decides nothing.
func TestLastWithFiles(t *testing.T) {
	run := func(name string, second int, change ...func(*v1alpha1.S3Export)) v1alpha1.S3Export {
		e := v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: name}}
		e.Status.ClaimUID, e.Status.Objects = "c-1", 7
		e.Status.CompletionTime = &metav1.Time{Time: time.Unix(int64(second), 0)}
		e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
		for _, f := range change {
			f(&e)
		}
		return e
	}
	empty := func(e *v1alpha1.S3Export) { e.Status.Objects = 0 }
	links := func(e *v1alpha1.S3Export) { e.Status.Objects, e.Status.Links = 0, 3 }
	dry := func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }
	failed := func(e *v1alpha1.S3Export) { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed }
	another := func(e *v1alpha1.S3Export) { e.Status.ClaimUID = "c-0" }
	untimed := func(e *v1alpha1.S3Export) { e.Status.CompletionTime = nil }
	for name, tt := range map[string]struct {
		runs []v1alpha1.S3Export
		want string
	}{
		"none":                     {nil, ""},
		"the later":                {[]v1alpha1.S3Export{run("b", 1), run("a", 2)}, "a"},
		"of one second, by name":   {[]v1alpha1.S3Export{run("b", 1), run("a", 1)}, "b"},
		"without a time, the last": {[]v1alpha1.S3Export{run("a", 1), run("b", 0, untimed)}, "a"},
		"none that counts": {
			[]v1alpha1.S3Export{run("a", 1, empty), run("b", 2, dry), run("c", 3, failed), run("d", 4, another)}, "",
		},
		"the last that had files": {[]v1alpha1.S3Export{run("a", 1), run("b", 2, empty), run("c", 3, failed)}, "a"},
		"links are files, too":    {[]v1alpha1.S3Export{run("b", 2, links), run("c", 3, empty)}, "b"},
		"the last with links":     {[]v1alpha1.S3Export{run("a", 1, links), run("b", 2, links), run("c", 3, empty)}, "b"},
		"but no regular ones":     {[]v1alpha1.S3Export{run("a", 1), run("b", 2, links), run("c", 3, empty)}, "a"},
	} {
		for range 2 {
			got := ""
			if last := LastWithFiles(tt.runs, "c-1"); last != nil {
				got = last.Name
			}
			if got != tt.want {
				t.Errorf("%s: %q, want %q", name, got, tt.want)
			}
			if len(tt.runs) > 1 {
				tt.runs[0], tt.runs[1] = tt.runs[1], tt.runs[0]
			}
		}
	}
}
