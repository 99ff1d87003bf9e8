// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/transfer/retention"
)

// pruned are four hourly runs of a claim, each with a prefix of its own, of which two stay: 3 and 4.
func pruned(change ...func(*world)) *world {
	w := newWorld(hour(5), "a").last(hour(5)).spec(func(s *v1alpha1.S3ExportPolicySpec) { s.PruneData = true })
	for n := 1; n <= 4; n++ {
		w.ran("a", hour(n), v1alpha1.ConditionComplete)
	}
	for i := range w.Exports {
		e := &w.Exports[i]
		e.Spec.Destination.Bucket = "backups"
		e.Status.Prefix, e.Status.ClaimUID = "ml/a/"+string(e.UID)+"/", "uid-a"
		e.Status.ManifestDigest = "sha256:" + e.Name
	}
	for _, f := range change {
		f(w)
	}
	return w
}

func marked(n int) func(*world) {
	return func(w *world) {
		w.Exports[n-1].Annotations[v1alpha1.AnnotationPruning] = retention.Mark(&w.Exports[n-1], hour(5))
	}
}

func export(n int, change func(*v1alpha1.S3Export)) func(*world) {
	return func(w *world) { change(&w.Exports[n-1]) }
}

func TestPrune(t *testing.T) {
	elsewhere := func(e *v1alpha1.S3Export) { e.Spec.Destination.Bucket = "other" }
	shared := func(e *v1alpha1.S3Export) { e.Status.Prefix = "ml/a/" }
	part := func(e *v1alpha1.S3Export) { e.Spec.Exclude = []string{"*.big"} }
	same := func(e *v1alpha1.S3Export) { e.Status.ManifestDigest = "sha256:none" } // That of no file.
	both := func(f func(*v1alpha1.S3Export), runs ...int) func(*world) {
		return func(w *world) {
			for _, n := range runs {
				f(&w.Exports[n-1])
			}
		}
	}
	source := func(run int, change func(*v1alpha1.S3Source, *v1alpha1.S3Export)) func(*world) {
		return func(w *world) {
			s := v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Name: "restore", Namespace: "ml"}}
			s.Spec.FromExport = &v1alpha1.FromExport{Claim: "a"}
			change(&s, &w.Exports[run-1])
			w.Sources = append(w.Sources, s)
		}
	}
	data := func(prune bool) func(*world) { return func(w *world) { w.Policy.Spec.PruneData = prune } }
	later := func(w *world) { w.Now = hour(5).Add(11 * time.Minute) }
	files := both(func(e *v1alpha1.S3Export) { e.Status.Objects = 7 }, 1, 2, 3, 4)
	none := func(runs ...int) func(*world) {
		return both(func(e *v1alpha1.S3Export) { e.Status.Objects = 0 }, runs...)
	}
	links := func(runs ...int) func(*world) {
		return both(func(e *v1alpha1.S3Export) { e.Status.Objects, e.Status.Links = 0, 3 }, runs...)
	}
	another := func(w *world) { // Claim, b, with a run at the same hour as each of a.
		w.claim("b", midnight)
		for _, e := range slices.Clone(w.Exports) {
			w.ran("b", e.CreationTimestamp.Time, v1alpha1.ConditionComplete)
			b := &w.Exports[len(w.Exports)-1]
			b.Spec.Destination, b.Status = e.Spec.Destination, *e.Status.DeepCopy()
			b.Status.Prefix, b.Status.ClaimUID = "ml/b/"+string(b.UID)+"/", "uid-b"
		}
	}
	newest := pruned().Exports[3].Name
	for name, tt := range map[string]struct {
		world            *world
		mark, gone, kept string
		told             string
	}{
		"not asked for":              {world: pruned(func(w *world) { w.Policy.Spec.PruneData = false }), gone: "a@1 a@2"},
		"the oldest is marked first": {world: pruned(), mark: "a@1", kept: "a@4 a@3"},
		"one at a time":              {world: pruned(marked(1))},
		"that takes long":            {world: pruned(marked(1), later), told: "it is tried since 2026-11-26T05:00:00Z"},
		"another claim waits for it": {world: pruned(another, marked(1))},
		"but not for long": {
			world: pruned(another, marked(1), later), mark: "b@1", kept: "b@4 b@3", told: "it is tried since",
		},
		"another claim waits for no clock that was ahead": {
			world: pruned(another, func(w *world) {
				w.Exports[0].Annotations[v1alpha1.AnnotationPruning] = retention.Mark(&w.Exports[0], hour(9))
			}),
			mark: "b@1", kept: "b@4 b@3", told: "it is tried since",
		},
		"all have files": {world: pruned(files), mark: "a@1", kept: "a@4 a@3"},
		"the newest has none": {
			world: pruned(files, none(4)),
			told:  "the newest run, " + newest + ", has no regular file, and this one has 7",
		},
		"all that stay have none, and their objects stay": {
			world: pruned(data(false), files, none(3, 4)), gone: "a@1",
		},
		"the newest has none, and the others links": {
			world: pruned(links(1, 2, 3), none(4)),
			told:  "the newest run, " + newest + ", has no regular file, and this one has 3",
		},
		"the newest has links alone": {
			world: pruned(files, links(4)),
			told:  "the newest run, " + newest + ", has no regular file, and this one has 7",
		},
		"all have links alone": {world: pruned(links(1, 2, 3, 4)), mark: "a@1", kept: "a@4 a@3"},
		"all that stay have none, and links are of use": {
			world: pruned(data(false), none(1), links(2), none(3, 4)), gone: "a@1",
		},
		"all that stay have none, and regular files are of more use than links": {
			world: pruned(data(false), files, links(2), none(3, 4)), gone: "a@2",
		},
		"all that stay have none, and the last with files goes already": {
			world: pruned(data(false), files, none(3, 4), export(2, func(e *v1alpha1.S3Export) {
				e.DeletionTimestamp = &metav1.Time{Time: hour(5)}
			})),
		},
		"all that stay have none, and the objects of the last with files go already": {
			world: pruned(data(false), files, none(3, 4), marked(2)),
		},
		"all that stay have none, and share a prefix": {
			world: pruned(files, none(3, 4), both(shared, 1, 2, 3, 4)), gone: "a@1",
		},
		"the newest has some, and their objects stay": {world: pruned(data(false), files, none(3)), gone: "a@1 a@2"},
		"the newest and the oldest": {
			world: pruned(files, none(1, 4)), mark: "a@1", kept: "a@4 a@3", told: "has no regular file",
		},
		"neither the newest nor the older ones": {
			world: pruned(both(same, 1, 2, 4)), gone: "a@1 a@2",
		},
		"neither the newest nor the oldest, which a source names": {
			world: pruned(both(same, 1, 4), source(1, func(s *v1alpha1.S3Source, e *v1alpha1.S3Export) {
				s.Spec.FromExport.Run = e.Name
			})), mark: "a@2", kept: "a@4 a@3", told: "S3Source ml/restore restores it",
		},
		"one before the newest": {world: pruned(files, none(3)), mark: "a@1", kept: "a@4 a@3"},
		"the newest of this claim alone": {
			world: pruned(files, another, none(4)), mark: "b@1", kept: "b@4 b@3", told: "has no regular file",
		},
		"the newest that is beside it": {world: pruned(files, none(3), both(elsewhere, 4)), told: "has no regular file"},
		"also when it is not asked for any more": {
			world: pruned(marked(1), later, func(w *world) { w.Policy.Spec.PruneData = false }),
			gone:  "a@2", told: "it is tried since",
		},
		"one that is marked is none to keep": {
			world: pruned(marked(4), func(w *world) { w.Policy.Spec.Keep = 1 }),
		},
		"a failed run": {
			world: pruned(export(1, func(e *v1alpha1.S3Export) { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed })),
			gone:  "a@1", mark: "a@2", kept: "a@4 a@3",
		},
		"a shared prefix":           {world: pruned(both(shared, 1)), gone: "a@1", mark: "a@2", kept: "a@4 a@3"},
		"those that stay share one": {world: pruned(both(shared, 3)), mark: "a@1", kept: "a@4"},
		"all that stay share one": {
			world: pruned(both(shared, 3, 4)), told: "none of the runs of its claim that stay is in its bucket",
		},
		"another bucket":        {world: pruned(both(elsewhere, 1, 2)), told: "S3Export hourly-a"},
		"one of another bucket": {world: pruned(both(elsewhere, 4)), mark: "a@1", kept: "a@3"},
		"no digest": {
			world: pruned(export(1, func(e *v1alpha1.S3Export) { e.Status.ManifestDigest = "" })),
			gone:  "a@1", mark: "a@2", kept: "a@4 a@3",
		},
		"a source has found it": {world: pruned(source(1, func(s *v1alpha1.S3Source, e *v1alpha1.S3Export) {
			s.Status.FromExport = &v1alpha1.SourceExport{UID: string(e.UID)}
		})), mark: "a@2", kept: "a@4 a@3", told: "S3Source ml/restore restores it"},
		"a source names it": {world: pruned(source(1, func(s *v1alpha1.S3Source, e *v1alpha1.S3Export) {
			s.Spec.FromExport.Run = e.Name
		})), mark: "a@2", kept: "a@4 a@3", told: "S3Source ml/restore restores it"},
		"a source reads its prefix": {world: pruned(source(1, func(s *v1alpha1.S3Source, e *v1alpha1.S3Export) {
			s.Spec.FromExport, s.Spec.Bucket, s.Spec.Prefix = nil, "backups", e.Status.Prefix
		})), mark: "a@2", kept: "a@4 a@3", told: "S3Source ml/restore restores it"},
		"it is marked with the UID of another": {world: pruned(export(1, func(e *v1alpha1.S3Export) {
			e.Annotations[v1alpha1.AnnotationPruning] = "uid-of-another 2026-11-26T05:00:00Z"
		})), mark: "a@1", kept: "a@4 a@3"},
		"newer ones are of a part": {world: pruned(both(part, 3, 4))},
		"older ones are of a part": {
			world: pruned(both(part, 1, 2), func(w *world) { w.Policy.Spec.Keep = 1 }), mark: "a@1", kept: "a@2",
		},
		"a source names another": {world: pruned(source(4, func(s *v1alpha1.S3Source, e *v1alpha1.S3Export) {
			s.Spec.FromExport.Run = e.Name
		})), mark: "a@1", kept: "a@4 a@3"},
		"a run copies from it": {world: pruned(func(w *world) {
			w.Beside = append(w.Beside, v1alpha1.S3Export{
				ObjectMeta: metav1.ObjectMeta{Name: "other"},
				Status:     v1alpha1.S3ExportStatus{CopiedFrom: w.Exports[0].Status.Prefix},
			})
		}), mark: "a@2", kept: "a@4 a@3", told: "S3Export other copies from it"},
		"the only complete run": {world: pruned(func(w *world) { w.Exports = w.Exports[:1] })},
		"one that is being deleted does not stay": {world: pruned(export(4, func(e *v1alpha1.S3Export) {
			e.DeletionTimestamp = &metav1.Time{Time: hour(5)}
		})), mark: "a@1", kept: "a@3 a@2"},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(tt.world.state)
			mark := ""
			if d.Mark != nil {
				mark = brief([]*v1alpha1.S3Export{d.Mark})
			}
			if mark != tt.mark || brief(d.Prune) != tt.gone || brief(d.Kept) != tt.kept || len(d.Events) > 0 {
				t.Errorf("marks %q, for which %q stay, removes %q, tells %v; want %q, %q, %q", mark, brief(d.Kept), brief(d.Prune),
					d.Events, tt.mark, tt.kept, tt.gone)
			}
			text := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady).Message
			if !strings.Contains(text, tt.told) || (tt.told == "") != !strings.Contains(text, "not removed") {
				t.Errorf("says %q; want %q", text, tt.told)
			}
		})
	}
}

// TestMarksAreGuarded: a cache that is old marks nothing.
func TestMarksAreGuarded(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, c client.Client, w *world){
		"the policy keeps more now": func(t *testing.T, c client.Client, w *world) {
			p := w.Policy.DeepCopy()
			p.ResourceVersion, p.Generation, p.Spec.Keep = "", 4, 10
			mustDo(t, c.Patch(t.Context(), p, client.MergeFrom(w.Policy)))
		},
		"the policy is gone": func(t *testing.T, c client.Client, w *world) { mustDo(t, c.Delete(t.Context(), w.Policy)) },
		"a run that was to stay is gone": func(t *testing.T, c client.Client, w *world) {
			mustDo(t, c.Delete(t.Context(), w.Exports[3].DeepCopy()))
		},
		"a source reads it": func(t *testing.T, c client.Client, w *world) {
			s := &v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "restore"}}
			s.Spec.Bucket, s.Spec.Prefix = "backups", w.Exports[0].Status.Prefix
			mustDo(t, c.Create(t.Context(), s))
		},
		"the run is another one": func(t *testing.T, c client.Client, w *world) {
			e := w.Exports[0].DeepCopy()
			e.Labels["changed"] = "yes"
			mustDo(t, c.Patch(t.Context(), e, client.MergeFrom(&w.Exports[0])))
		},
	} {
		w := pruned()
		w.Policy.Status = decide(w.state).Status // Else the status would be written first, which has a guard of its own.
		live, old := server(t, w), server(t, w)
		change(t, live, w)
		pass(t, &kubetest.Process{}, kubetest.Cached(live, old), live, hour(5))
		var all v1alpha1.S3ExportList
		mustDo(t, live.List(t.Context(), &all))
		for i := range all.Items {
			if retention.Pruning(&all.Items[i]) {
				t.Errorf("%s: %s was marked", name, all.Items[i].Name)
			}
		}
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
