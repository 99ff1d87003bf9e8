// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// filled is a claim that was populated from a source, and nothing else.
func filled(annotations ...string) *world {
	w := newWorld(hour(0), annotations...)
	delete(w.Claim.Annotations, v1alpha1.AnnotationExportTo)
	delete(w.Claim.Annotations, v1alpha1.AnnotationExportRegion)
	w.Claim.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source, Name: "models",
	}
	return w
}

// imported adds an import of a token that was made so many hours after midnight.
func (w *world) imported(name, condition string, at int, change ...func(*v1alpha1.S3Import)) *world {
	i := importFor(w.Claim, name)
	i.UID, i.CreationTimestamp = types.UID("uid-"+name), metav1.NewTime(hour(at))
	if condition != "" {
		i.Status.Conditions = []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue, Reason: "x"}}
	}
	for _, f := range change {
		f(i)
	}
	w.Imports = append(w.Imports, *i)
	return w
}

// made has this manager have made a run a moment ago.
func (w *world) made(run string) *world {
	w.Made = types.UID(run)
	return w
}

func TestDecideImports(t *testing.T) {
	const complete, failed = v1alpha1.ConditionComplete, v1alpha1.ConditionFailed
	foreign := func(i *v1alpha1.S3Import) { delete(i.Labels, v1alpha1.LabelManagedBy) }
	users := func(i *v1alpha1.S3Import) { i.OwnerReferences, i.Labels = nil, nil }
	for name, tt := range map[string]struct {
		world    *world
		want     action
		name     string // Of the import that is made or removed.
		noted    string
		warns    string
		reused   string
		deletion bool
	}{
		"nothing is asked for": {world: filled(), want: rest},
		"a new token":          {world: filled("import-now", "1"), want: create, name: now("1")},
		"its import is there": {
			world: filled("import-now", "1").imported(now("1"), "", 0), want: note, noted: "1",
		},
		"it was noted": {world: filled("import-now", "1", "imported-now", "1"), want: rest},
		"another token": {
			world: filled("import-now", "2", "imported-now", "1").imported(now("1"), "", 0), want: create, name: now("2"),
		},
		"a token that comes back": {
			world: filled("import-now", "1", "imported-now", "2").imported(now("1"), failed, 0).
				imported(now("2"), complete, 1),
			want: note, noted: "1", reused: "S3Import " + now("1") + " of 2026-11-26 00:00:00 UTC",
		},
		"a new token whose import was over at once": {
			world: filled("import-now", "2", "imported-now", "1").imported(now("1"), complete, 0).
				imported(now("2"), failed, 1).made("uid-" + now("2")),
			want: note, noted: "2",
		},
		"a token that comes back while its import runs": {
			world: filled("import-now", "1", "imported-now", "2").imported(now("1"), "", 0), want: note, noted: "1",
		},
		"a token that comes back when its import is gone": {
			world: filled("import-now", "1", "imported-now", "2").imported(now("2"), complete, 1), want: create, name: now("1"),
		},
		"the first token, whose import was over before it was noted": {
			world: filled("import-now", "1").imported(now("1"), complete, 0), want: note, noted: "1",
		},
		"an export's annotations are invalid": {
			world: filled("import-now", "1", "export-nwo", "1"), want: create, name: now("1"),
		},
		"a schedule comes first": {
			world: func() *world {
				w := newWorld(hour(0), "import-now", "1", "export-schedule", "@hourly")
				w.Claim.Spec.DataSourceRef = filled().Claim.Spec.DataSourceRef
				return w
			}(),
			want: note, noted: hour(0).Format(time.RFC3339),
		},
		"a claim of no source": {
			world: func() *world { w := filled("import-now", "1"); w.Claim.Spec.DataSourceRef = nil; return w }(),
			want:  note, noted: "1", warns: "no S3Source",
		},
		"a claim whose source is still to be named": {
			world: func() *world {
				w := filled("import-now", "1", "source", "models")
				w.Claim.Spec.DataSourceRef = nil
				return w
			}(),
			want: note, noted: "1", warns: "no S3Source",
		},
		"a device": {
			world: func() *world {
				w := filled("import-now", "1")
				w.Claim.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
				return w
			}(),
			want: note, noted: "1", warns: "Block",
		},
		"a claim that goes": {
			world: func() *world {
				w := filled("import-now", "1")
				w.Claim.DeletionTimestamp = new(metav1.NewTime(hour(0)))
				return w
			}(),
			want: rest,
		},
		"three complete ones stay": {
			world: filled().imported("a", complete, 0).imported("b", complete, 1).imported("c", complete, 2), want: rest,
		},
		"a fourth is history": {
			world: filled().imported("a", complete, 0).imported("b", complete, 1).imported("c", failed, 2).
				imported("d", complete, 3).imported("e", complete, 4), want: remove, name: "a",
		},
		"those that look like ours are not, either": {
			world: filled().imported("a", complete, 0, foreign).imported("b", complete, 1, foreign).
				imported("c", complete, 2, foreign).imported("d", complete, 3, foreign), want: rest,
		},
		"those of users are not ours to remove": {
			world: filled().imported("a", complete, 0, users).imported("b", complete, 1, users).
				imported("c", complete, 2, users).imported("d", complete, 3, users), want: rest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := decide(tt.world.state)
			made := ""
			if d.Import != nil {
				made = d.Import.Name
			}
			if d.Action != tt.want || made != tt.name || d.Value != tt.noted || !strings.Contains(d.Warning, tt.warns) ||
				(d.Warning == "") != (tt.warns == "") || !strings.Contains(d.Reused, tt.reused) ||
				(d.Reused == "") != (tt.reused == "") {
				t.Errorf("decided %+v, import %q", d, made)
			}
		})
	}
}

// What is made for a token belongs to its claim, and is told from the record of how the claim was filled.
func TestImportFor(t *testing.T) {
	w := filled()
	i := importFor(w.Claim, "x")
	if i.Spec.SourceName != "models" || i.Spec.ClaimName != "data" || !metav1.IsControlledBy(i, w.Claim) || i.IsRecord() {
		t.Errorf("the import is %+v", i)
	}
	i.Labels[v1alpha1.LabelRole] = ""
	if importOf(i, w.Claim) {
		t.Error("a record is taken for an import that somebody asked for")
	}
	i = importFor(w.Claim, "x")
	i.Status.ClaimUID = "c-2"
	if importOf(i, w.Claim) {
		t.Error("an import of an earlier claim of this name is taken for one of this")
	}
}

// TestAnImportForAToken: whichever write is the last of its process, a token ends with one import and its note; and
// one that its user has deleted is not made anew by a manager that knows the past only.
func TestAnImportForAToken(t *testing.T) {
	imports := func(c client.Client) (names []string) {
		var all v1alpha1.S3ImportList
		if err := c.List(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		for n := range all.Items {
			names = append(names, all.Items[n].Name)
		}
		return names
	}
	for _, lost := range []bool{true, false} {
		for ends := 1; ends <= 3; ends++ {
			s := server(t, filled("import-now", "1"))
			p := &kubetest.Process{Ends: ends, Lost: lost}
			for range 5 {
				pass(t, p, s, s, hour(0))
				if p.Writes >= p.Ends {
					break
				}
			}
			for range 5 {
				pass(t, &kubetest.Process{}, s, s, hour(0))
			}
			if got := imports(s); !slices.Equal(got, []string{now("1")}) ||
				claimOf(t, s).Annotations[v1alpha1.AnnotationImportedNow] != "1" {
				t.Errorf("end at write %d (lost: %t): imports %q, noted %v", ends, lost, got, claimOf(t, s).Annotations)
			}
		}
	}
	s, past := server(t, filled("import-now", "1")), server(t, filled("import-now", "1"))
	for range 3 {
		pass(t, &kubetest.Process{}, s, s, hour(0))
	}
	i := importFor(claimOf(t, s), now("1"))
	if err := s.Delete(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	pass(t, &kubetest.Process{}, past, s, hour(0))
	if got := imports(past); len(got) > 0 {
		t.Errorf("an import that was cancelled is made anew: %q", got)
	}
}
