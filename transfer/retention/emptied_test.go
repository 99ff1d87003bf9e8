// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

type alteration = func(*v1alpha1.S3Export)

// ofRuns are complete ones of a claim, named after their place, oldest first.
func ofRuns(changes ...alteration) (all []v1alpha1.S3Export) {
	for i, change := range changes {
		name := string(rune('a' + i))
		e := v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
		e.Status.ClaimUID = "c-1"
		e.Status.CompletionTime = &metav1.Time{Time: time.Unix(int64(60*i), 0)}
		e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
		change(&e)
		all = append(all, e)
	}
	return all
}

// and makes several changes one.
func and(changes ...alteration) alteration {
	return func(e *v1alpha1.S3Export) {
		for _, f := range changes {
			f(e)
		}
	}
}

func empty(*v1alpha1.S3Export)       {}
func files(e *v1alpha1.S3Export)     { e.Status.Objects = 7 }
func links(e *v1alpha1.S3Export)     { e.Status.Links = 3 }
func dry(e *v1alpha1.S3Export)       { e.Spec.DryRun = true }
func ofAnother(e *v1alpha1.S3Export) { e.Status.ClaimUID = "c-0" }
func going(e *v1alpha1.S3Export)     { e.DeletionTimestamp = &metav1.Time{Time: time.Unix(1e6, 0)} }
func failing(e *v1alpha1.S3Export)   { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed }
func ofAPart(e *v1alpha1.S3Export)   { e.Spec.Path = "db" }
func ofOthers(e *v1alpha1.S3Export)  { e.Spec.Path = "logs" }

func beingGone(e *v1alpha1.S3Export) {
	e.Annotations = map[string]string{v1alpha1.AnnotationPruning: Mark(e, time.Unix(1e6, 0))}
}

// TestOutlivesItsTime: the first of some runs is what there is to restore while only empty ones came after it.
func TestOutlivesItsTime(t *testing.T) {
	for name, tt := range map[string]struct {
		runs []alteration
		want bool
	}{
		"none came after it":           {[]alteration{files}, false},
		"an empty one did":             {[]alteration{files, empty}, true},
		"two did":                      {[]alteration{files, empty, empty}, true},
		"one of links, and an empty":   {[]alteration{links, empty}, true},
		"one with files":               {[]alteration{files, files}, false},
		"one with links alone":         {[]alteration{files, links}, true},
		"links, and links again":       {[]alteration{links, links}, false},
		"an empty one, and one with":   {[]alteration{files, empty, files}, false},
		"one with files, and an empty": {[]alteration{files, files, empty}, false},
		"it is empty itself":           {[]alteration{empty, empty}, false},
		"a dry run found none":         {[]alteration{files, and(empty, dry)}, false},
		"one that failed found none":   {[]alteration{files, and(empty, failing)}, false},
		"one of another claim did":     {[]alteration{files, and(empty, ofAnother)}, false},
		"another claim has files":      {[]alteration{files, empty, and(files, ofAnother)}, true},
		"a dry run with files":         {[]alteration{files, empty, and(files, dry)}, true},
		"one with files is going":      {[]alteration{files, empty, and(files, going)}, true},
		"one with files is removed":    {[]alteration{files, empty, and(files, beingGone)}, true},
		"one with files failed":        {[]alteration{files, empty, and(files, failing)}, true},
		"it is a dry run":              {[]alteration{and(files, dry), empty}, false},
		"it failed":                    {[]alteration{and(files, failing), empty}, false},
		"a part is empty":              {[]alteration{files, and(empty, ofAPart)}, false},
		"a part has files":             {[]alteration{files, empty, and(files, ofAPart)}, true},
		"of a part, and all is empty":  {[]alteration{and(files, ofAPart), empty}, true},
		"of a part, another is empty":  {[]alteration{and(files, ofAPart), and(empty, ofOthers)}, false},
		"of a part, and it is empty":   {[]alteration{and(files, ofAPart), and(empty, ofAPart)}, true},
	} {
		runs := ofRuns(tt.runs...)
		e := runs[0]
		for range 2 { // Whatever their order.
			if got := OutlivesItsTime(&e, runs); got != tt.want {
				t.Errorf("%s: outlives its time %t, want %t", name, got, tt.want)
			}
			slices.Reverse(runs)
		}
	}
}

// TestEmptied: what the last of some runs, which is empty, is compared with.
func TestEmptied(t *testing.T) {
	for name, tt := range map[string]struct {
		runs []alteration
		want string
	}{
		"nothing was there before":       {[]alteration{empty}, ""},
		"only empty ones":                {[]alteration{empty, empty}, ""},
		"files":                          {[]alteration{files, empty}, "a"},
		"links":                          {[]alteration{links, empty}, "a"},
		"the last one of two":            {[]alteration{files, files, empty}, "b"},
		"files, and links after them":    {[]alteration{files, links, empty}, "a"},
		"links, and files after them":    {[]alteration{links, files, empty}, "b"},
		"behind another empty one":       {[]alteration{files, empty, empty}, "a"},
		"it is not empty":                {[]alteration{files, links}, ""},
		"files of another claim":         {[]alteration{and(files, ofAnother), empty}, ""},
		"one that is going":              {[]alteration{files, and(files, going), empty}, "a"},
		"all of it, and a part is empty": {[]alteration{files, and(empty, ofAPart)}, ""},
		"the same part":                  {[]alteration{and(files, ofAPart), and(empty, ofAPart)}, "a"},
		"a part, and all is empty":       {[]alteration{and(files, ofAPart), empty}, "a"},
	} {
		runs := ofRuns(tt.runs...)
		e := runs[len(runs)-1]
		for range 2 { // Whatever their order.
			got := ""
			if last := Emptied(&e, runs); last != nil {
				got = last.Name
			}
			if got != tt.want {
				t.Errorf("%s: %q, want %q", name, got, tt.want)
			}
			slices.Reverse(runs)
		}
	}
	runs := ofRuns(empty, files)
	if last := Emptied(&runs[0], runs); last != nil {
		t.Errorf("a run before the first files is compared with %s", last.Name)
	}
}
