// SPDX-License-Identifier: Apache-2.0

package fromexport

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func at(hour int) *metav1.Time {
	return &metav1.Time{Time: time.Date(2026, 11, 26, hour, 0, 0, 0, time.UTC)}
}

func source(asked v1alpha1.FromExport) *v1alpha1.S3Source {
	s := &v1alpha1.S3Source{}
	s.Spec.S3Location = v1alpha1.S3Location{Endpoint: "https://s3.test", Bucket: "backups"}
	s.Spec.FromExport = &asked
	return s
}

// run of claim data that was complete at an hour; zero has not ended.
func run(name string, hour int, change ...func(*v1alpha1.S3Export)) v1alpha1.S3Export {
	e := v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	e.Spec.ClaimName = "data"
	e.Spec.Destination.S3Location = v1alpha1.S3Location{Endpoint: "https://s3.test/", Region: "x", Bucket: "backups"}
	e.Status.Prefix = name + "/"
	e.Status.StartTime, e.Status.Objects = at(hour), 7
	if hour > 0 {
		e.Status.CompletionTime = at(hour)
		e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

// orders are all in which a cache may list some exports.
func orders(exports []v1alpha1.S3Export) (all [][]v1alpha1.S3Export) {
	if len(exports) == 0 {
		return [][]v1alpha1.S3Export{nil}
	}
	for i := range exports {
		others := slices.Concat(exports[:i], exports[i+1:])
		for _, order := range orders(others) {
			all = append(all, append(slices.Clone(order), exports[i]))
		}
	}
	return all
}

func TestFind(t *testing.T) {
	failed := func(e *v1alpha1.S3Export) { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed }
	part := func(e *v1alpha1.S3Export) { e.Spec.Include = []string{"*.ckpt"} }
	dry := func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }
	elsewhere := func(e *v1alpha1.S3Export) { e.Spec.Destination.Bucket = "other" }
	going := func(e *v1alpha1.S3Export) { e.DeletionTimestamp = at(1) }
	pruned := func(e *v1alpha1.S3Export) {
		e.Annotations = map[string]string{v1alpha1.AnnotationPruning: string(e.UID) + " 2026-11-26T00:00:00Z"}
	}
	last := func(e *v1alpha1.S3Export) {
		e.Spec.ClaimName, e.Annotations = "s3export-1", map[string]string{v1alpha1.AnnotationExportOf: "data"}
	}
	other := func(e *v1alpha1.S3Export) { e.Spec.ClaimName = "other" }
	place := func(e *v1alpha1.S3Export) { e.Status.Prefix = "shared/" }
	begun := func(e *v1alpha1.S3Export) { e.Status.StartTime = at(4) }
	refused := func(e *v1alpha1.S3Export) {
		e.Status.Conditions[0].Type, e.Status.Conditions[0].Reason = v1alpha1.ConditionFailed, "SourceEmpty"
	}
	empty := func(e *v1alpha1.S3Export) { e.Status.Objects = 0 }
	links := func(e *v1alpha1.S3Export) { e.Status.Objects, e.Status.Links = 0, 3 }
	older := func(e *v1alpha1.S3Export) { e.Status.ClaimUID = "of-an-older-claim" }
	latest, named := v1alpha1.FromExport{Claim: "data"}, v1alpha1.FromExport{Claim: "data", Run: "a"}
	for name, tt := range map[string]struct {
		asked   v1alpha1.FromExport
		exports []v1alpha1.S3Export
		want    string
		why     string
	}{
		"none":                 {latest, nil, "", "no complete S3Export of all of claim data is there"},
		"the latest":           {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5), run("c", 4)}, "b", ""},
		"one runs":             {latest, []v1alpha1.S3Export{run("a", 3), run("b", 0)}, "a", ""},
		"one has failed":       {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, failed)}, "a", ""},
		"one is a part":        {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, part)}, "a", ""},
		"one is a dry run":     {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, dry)}, "a", ""},
		"one is going":         {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, going)}, "a", ""},
		"one is being removed": {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, pruned)}, "a", ""},
		"one is elsewhere":     {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, elsewhere)}, "a", ""},
		"one is of another":    {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, other)}, "a", ""},
		"the last of a claim":  {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, last)}, "b", ""},
		"one has no file":      {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, empty)}, "a", ""},
		"another claim's has":  {latest, []v1alpha1.S3Export{run("a", 3, older), run("b", 5, empty)}, "b", ""},
		"another claim's is between": {
			latest, []v1alpha1.S3Export{run("a", 3), run("b", 4, older), run("c", 5, empty)}, "b", "",
		},
		"of one second":        {latest, []v1alpha1.S3Export{run("b", 5), run("a", 5)}, "b", ""},
		"the first has none":   {latest, []v1alpha1.S3Export{run("b", 5, empty), run("a", 3)}, "a", ""},
		"one has links alone":  {latest, []v1alpha1.S3Export{run("a", 3, links), run("b", 5, empty)}, "a", ""},
		"the latest has links": {latest, []v1alpha1.S3Export{run("a", 3), run("b", 5, links)}, "a", ""},
		"all have links alone": {latest, []v1alpha1.S3Export{run("a", 3, links), run("b", 5, links)}, "b", ""},
		"none has a file":      {latest, []v1alpha1.S3Export{run("a", 3, empty), run("b", 5, empty)}, "b", ""},
		"before a time, with files": {
			v1alpha1.FromExport{Claim: "data", Before: at(5)},
			[]v1alpha1.S3Export{run("a", 3), run("b", 4, empty), run("c", 6)},
			"a", "",
		},
		"named, without a file": {
			named, []v1alpha1.S3Export{run("a", 3, empty), run("b", 2)}, "a", "",
		},
		"before a time": {
			v1alpha1.FromExport{Claim: "data", Before: at(5)},
			[]v1alpha1.S3Export{run("a", 3), run("b", 5), run("c", 4), run("d", 0)},
			"c", "",
		},
		"named":                {named, []v1alpha1.S3Export{run("a", 3), run("b", 5)}, "a", ""},
		"named, of a part":     {named, []v1alpha1.S3Export{run("a", 3, part)}, "a", ""},
		"named, and not there": {named, []v1alpha1.S3Export{run("b", 5)}, "", "there is no S3Export a"},
		"named, and runs":      {named, []v1alpha1.S3Export{run("a", 0)}, "", "S3Export a is not complete"},
		"named, and failed":    {named, []v1alpha1.S3Export{run("a", 3, failed)}, "", "S3Export a has failed"},
		"named, of another":    {named, []v1alpha1.S3Export{run("a", 3, other)}, "", "is of claim other, not of data"},
		"named, elsewhere":     {named, []v1alpha1.S3Export{run("a", 3, elsewhere)}, "", "is in bucket other of https"},
		"named, overwritten": {
			named, []v1alpha1.S3Export{run("a", 3, place), run("b", 0, place, begun)}, "", "overwritten by S3Export b",
		},
		"named, and a later one failed": {
			named, []v1alpha1.S3Export{run("a", 3, place), run("b", 5, place, failed)}, "", "overwritten by S3Export b",
		},
		"named, and a later one found no file": {
			named, []v1alpha1.S3Export{run("a", 3, place), run("b", 5, place, refused)}, "a", "",
		},
		"the latest, and a later one found no file": {
			latest, []v1alpha1.S3Export{run("a", 3, place), run("b", 5, place, refused)}, "", "no complete S3Export",
		},
		"named, overwritten before one that found no file": {
			named,
			[]v1alpha1.S3Export{run("a", 3, place), run("b", 4, place), run("c", 5, place, refused)},
			"", "overwritten by S3Export b",
		},
		"overwritten, the latest": {latest, []v1alpha1.S3Export{run("a", 3, place), run("b", 5, place)}, "b", ""},
	} {
		for _, exports := range orders(tt.exports) {
			found, why := Find(source(tt.asked), exports)
			if (found == nil) != (tt.want == "") || found != nil && (found.Name != tt.want || found.Prefix == "" ||
				found.UID != "uid-"+tt.want || why != "") || !strings.Contains(why, tt.why) {
				t.Errorf("%s: found %+v, why %q; want %q, %q", name, found, why, tt.want, tt.why)
			}
		}
	}
}

// TestEffective: what was found stays, and only for what was asked for then.
func TestEffective(t *testing.T) {
	s := source(v1alpha1.FromExport{Claim: "data"})
	if _, ok := Effective(s); ok {
		t.Error("a source without an export is effective")
	}
	s.Status.FromExport, _ = Find(s, []v1alpha1.S3Export{run("a", 3)})
	got, ok := Effective(s)
	if !ok || got.Spec.Prefix != "a/" || got.Spec.FromExport != nil || s.Spec.FromExport == nil {
		t.Errorf("effective: %t, %+v", ok, got.Spec)
	}
	if uid, prefix, _ := Run(got); uid != "uid-a" || prefix != "a/" {
		t.Errorf("it is read from %q below %q", uid, prefix)
	}
	if uid, _, _ := Run(s); uid != "" {
		t.Error("a source is read from a run before that is its prefix")
	}
	s.Spec.FromExport.Before = at(9)
	if _, ok := Effective(s); ok {
		t.Error("what was found for another request is used")
	}
	s.Spec.FromExport = nil
	if got, ok := Effective(s); !ok || got.Spec.Prefix != "" {
		t.Error("a source that names no export is changed")
	} else if uid, _, _ := Run(got); uid != "" {
		t.Error("what was found for another request is compared with")
	}
}
