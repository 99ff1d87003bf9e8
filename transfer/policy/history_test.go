// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
)

// TestEveryHistory walks every combination, for what must never be.
func TestEveryHistory(t *testing.T) {
	changes := [][]func(*world){
		{nil, func(w *world) { w.Policy.Spec.PruneData = false }},
		{nil, func(w *world) { w.Policy.Spec.Keep = 1 }, func(w *world) { w.Policy.Spec.Keep = 9 }},
	}
	for _, n := range []int{1, 2, 3, 4} {
		of := []func(*world){
			nil, marked(n),
			export(n, func(e *v1alpha1.S3Export) { e.Status.Conditions[0].Type = v1alpha1.ConditionFailed }),
			export(n, func(e *v1alpha1.S3Export) { e.Status.Conditions = nil }),
			export(n, func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }),
			export(n, func(e *v1alpha1.S3Export) { e.Status.Prefix = "shared/" }),
			export(n, func(e *v1alpha1.S3Export) { e.Spec.Destination.Bucket = "other" }),
			export(n, func(e *v1alpha1.S3Export) { e.Spec.Path = "part" }),
			export(n, func(e *v1alpha1.S3Export) { e.Status.Objects = 7 }),
		}
		if n%2 == 0 { // One that goes, and the newest.
			of = append(of, export(n, func(e *v1alpha1.S3Export) { e.Status.Links = 3 }))
		}
		changes = append(changes, of)
	}
	worlds := 0
	var walk func(chosen []func(*world), rest [][]func(*world))
	walk = func(chosen []func(*world), rest [][]func(*world)) {
		if len(rest) == 0 {
			worlds++
			checkHistory(t, pruned(chosen...))
			return
		}
		for _, c := range rest[0] {
			next := slices.Clip(chosen)
			if c != nil {
				next = append(next, c)
			}
			walk(next, rest[1:])
		}
	}
	walk(nil, changes)
	if worlds < 48_000 {
		t.Errorf("only %d worlds", worlds)
	}
}

// worth is what a run is to whoever has lost a volume: regular files, links alone, or nothing.
func worth(e *v1alpha1.S3Export) int {
	switch {
	case e.Status.Objects > 0:
		return 2
	case e.Status.Links > 0:
		return 1
	}
	return 0
}

// partOf names the runs among which some stay.
func partOf(w *world, e *v1alpha1.S3Export) string {
	if w.Policy.Spec.PruneData {
		return retention.PartOf(e)
	}
	return ""
}

// lasts are the newest of those that are worth most, by their part.
func lasts(w *world) map[string]*v1alpha1.S3Export {
	all := map[string]*v1alpha1.S3Export{}
	for i := len(w.Exports) - 1; i >= 0; i-- {
		e := &w.Exports[i]
		restorable := retention.StateOf(e) == retention.Complete && !retention.Pruning(e) && !e.Spec.DryRun
		if best := all[partOf(w, e)]; restorable && worth(e) > 0 && (best == nil || worth(e) > worth(best)) {
			all[partOf(w, e)] = e
		}
	}
	return all
}

func checkHistory(t *testing.T, w *world) {
	t.Helper()
	d := decide(w.state)
	fail := func(why string, e *v1alpha1.S3Export) {
		t.Fatalf("%s: %s of %s, pruneData %t, keep %d", why, brief([]*v1alpha1.S3Export{e}), all(w),
			w.Policy.Spec.PruneData, w.Policy.Spec.Keep)
	}
	complete, busy := map[string]int{}, false // Newer ones that may be restored.
	last := lasts(w)
	for i := len(w.Exports) - 1; i >= 0; i-- {
		e := &w.Exports[i]
		restorable := retention.StateOf(e) == retention.Complete && !retention.Pruning(e) && !e.Spec.DryRun
		part := partOf(w, e)
		stays := restorable && complete[part] < int(w.Policy.Spec.Keep)
		if restorable {
			complete[part]++
		}
		busy = busy || retention.Pruning(e)
		removed := slices.ContainsFunc(d.Prune, func(o *v1alpha1.S3Export) bool { return o.UID == e.UID })
		marked := d.Mark != nil && d.Mark.UID == e.UID
		switch {
		case stays && (removed || marked):
			fail("a run that stays is touched", e)
		case marked && (!retention.HasOwnPrefix(e) || !w.Policy.Spec.PruneData):
			fail("what others may have, or nobody wants removed, is", e)
		case marked && len(d.Kept) == 0:
			fail("nothing stays", e)
		case removed && last[part] == e:
			fail("the last one that has files is forgotten", e)
		case marked && worth(e) > worth(d.Kept[0]):
			fail("it has files, and the newest one that stays has less", e)
		case removed && restorable && w.Policy.Spec.PruneData && retention.HasOwnPrefix(e):
			fail("its objects are forgotten", e)
		case removed && retention.Pruning(e):
			fail("half of its objects are forgotten", e)
		}
	}
	if d.Mark != nil && busy {
		fail("two at once", d.Mark)
	}
	for _, k := range d.Kept {
		if !retention.HasOwnPrefix(k) || retention.Pruning(k) || k.UID == d.Mark.UID ||
			k.Spec.Destination.Bucket != d.Mark.Spec.Destination.Bucket || retention.PartOf(k) != retention.PartOf(d.Mark) {
			fail("it cannot stand for a run that stays", k)
		}
	}
}

func all(w *world) string {
	var exports []*v1alpha1.S3Export
	for i := range w.Exports {
		exports = append(exports, &w.Exports[i])
	}
	return brief(exports)
}
