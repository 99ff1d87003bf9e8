// SPDX-License-Identifier: Apache-2.0

package final

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func schemeOf(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// earlierRun is a complete one of the claim with files in it.
func earlierRun(name string, hour int, change ...func(*v1alpha1.S3Export)) *v1alpha1.S3Export {
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}
	e.Status.ClaimUID, e.Status.Objects = string(uid), 7
	e.Status.CompletionTime = &metav1.Time{Time: time.Date(2026, 11, 26, hour, 0, 0, 0, time.UTC)}
	e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	for _, f := range change {
		f(e)
	}
	return e
}

// TestEarlierRuns: what a last run without a file is compared with is the last complete one of this claim that had any.
func TestEarlierRuns(t *testing.T) {
	for name, tt := range map[string]struct {
		last change
		want string
	}{
		"no file": {complete, "second"}, "not complete": {run, ""},
		"some files": {but(func(e *v1alpha1.S3Export) { e.Status.Objects = 3 }), ""},
		"some links": {but(func(e *v1alpha1.S3Export) { e.Status.Links = 3 }), "second"},
	} {
		last := world(taken, exportClaim, tt.last).Export
		last.ResourceVersion = ""
		c := fake.NewClientBuilder().WithScheme(schemeOf(t)).WithObjects(
			last, earlierRun("first", 1), earlierRun("second", 2),
			earlierRun("another", 3, func(e *v1alpha1.S3Export) { e.Status.ClaimUID = "other" }),
			earlierRun("dry", 4, func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }),
			earlierRun("failed", 5, func(e *v1alpha1.S3Export) { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed }),
			earlierRun("empty", 6, func(e *v1alpha1.S3Export) { e.Status.Objects = 0 }),
			earlierRun("elsewhere", 7, func(e *v1alpha1.S3Export) { e.Namespace = "other" }),
		).Build()
		r, s := &Reconciler{Live: c}, State{Namespace: "team", UID: uid}
		if err := r.observeRun(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		got := ""
		if s.Earlier != nil {
			got = s.Earlier.Name
		}
		if got != tt.want {
			t.Errorf("%s: compared with %q, want %q", name, got, tt.want)
		}
	}
}

// TestRunsWithFilesAreNoted on the volume when it is taken: while the last run waits for somebody to look at it, those
// before it expire, or go with their policy.
func TestRunsWithFilesAreNoted(t *testing.T) {
	s := world(exportClaimPending)
	s.Volume.ResourceVersion = ""
	c := fake.NewClientBuilder().WithScheme(schemeOf(t)).WithObjects(s.Volume.DeepCopy(), earlierRun("nightly", 1)).Build()
	read := func() {
		t.Helper()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(s.Volume), s.Volume); err != nil {
			t.Fatal(err)
		}
	}
	read()
	r := &Reconciler{Client: c, Live: c}
	if _, err := r.act(t.Context(), s, Decision{Action: TakeVolume}); err != nil {
		t.Fatal(err)
	}
	read()
	last := world(exportClaim, complete)
	last.Volume = s.Volume
	d := Decide(last)
	if d.Action != Wait || d.Reason != v1alpha1.ReasonFinalExportFailed ||
		!strings.Contains(d.Message, "S3Export nightly of this claim had 7") {
		t.Errorf("a last run without a file: %+v", d)
	}
	last.Volume.Spec.ClaimRef.UID = "earlier" // The export claim was made anew, and the volume is taken again.
	data, err := TakePatch(last)
	p := decode(t, data, err)
	if text := *p.Metadata.Annotations[v1alpha1.AnnotationFinalExport]; !strings.Contains(text, `"nightly"`) {
		t.Errorf("a volume that is taken again remembers %s", text)
	}
}

// TestTheNoteOnTheClaimIsRead: a deletion in the foreground collects the runs that the claim owns before its volume is
// taken. A copy of the claim has the note of another one.
func TestTheNoteOnTheClaimIsRead(t *testing.T) {
	note := func(of string) change {
		return func(s *State) {
			s.Claim.Annotations[v1alpha1.AnnotationExportedFiles] = `{"claim":"` + of +
				`","run":"data-now-1","uid":"e-1","files":7}`
		}
	}
	for name, tt := range map[string]struct {
		world State
		want  string
	}{
		"its own":          {world(exportClaimPending, note(string(uid))), `"run":"data-now-1","files":7`},
		"of another claim": {world(exportClaimPending, note("another")), `"policy":"Delete"}`},
		"none":             {world(exportClaimPending), `"policy":"Delete"}`},
		"its own, the record was lost": {
			world(note(string(uid)), taken, forgotten, exportClaim), `"run":"data-now-1","files":7`,
		},
	} {
		c := fake.NewClientBuilder().WithScheme(schemeOf(t)).Build() // Of the runs none is left.
		r := &Reconciler{Live: c}
		if err := r.observeEarlier(t.Context(), &tt.world); err != nil {
			t.Fatal(err)
		}
		data, err := TakePatch(tt.world)
		p := decode(t, data, err)
		if text := *p.Metadata.Annotations[v1alpha1.AnnotationFinalExport]; !strings.Contains(text, tt.want) {
			t.Errorf("%s: the volume that is taken remembers %s, want %s", name, text, tt.want)
		}
	}
	if d := Decide(world(note(string(uid)), taken, exportClaim, complete)); d.Action != Wait ||
		d.Reason != v1alpha1.ReasonFinalExportFailed ||
		!strings.Contains(d.Message, "S3Export data-now-1 of this claim had 7") {
		t.Errorf("a last run without a file: %+v", d)
	}
	if d := Decide(world(note(string(uid)), taken, exportClaim, but(full))); d.Action != ReturnVolume {
		t.Errorf("a last run with files: %+v", d)
	}
}
