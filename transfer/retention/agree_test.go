// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
)

// TestWhatIsRestoredStays: in every history the run that a source finds, which names none, is the one that outlives its
// time, is kept, and is told of where an empty one came after it.
func TestWhatIsRestoredStays(t *testing.T) {
	kinds := []alteration{
		files, links, empty, and(files, dry), and(files, failing), and(files, going), and(files, beingGone),
		and(files, ofAPart), and(empty, ofAPart), and(files, ofAnother), and(empty, ofAnother),
	}
	const most = 4
	histories := 0
	var walk func(chosen []alteration)
	walk = func(chosen []alteration) {
		if len(chosen) > 0 {
			histories++
			agree(t, ofRuns(chosen...))
		}
		for i := 0; len(chosen) < most && i < len(kinds); i++ {
			walk(append(slices.Clip(chosen), kinds[i]))
		}
	}
	walk(nil)
	if histories < 16_000 {
		t.Errorf("only %d histories", histories)
	}
}

func agree(t *testing.T, runs []v1alpha1.S3Export) {
	t.Helper()
	source := &v1alpha1.S3Source{}
	source.Spec.FromExport = &v1alpha1.FromExport{Claim: "data"}
	for i := range runs {
		runs[i].Spec.ClaimName, runs[i].Status.Prefix = "data", runs[i].Name+"/"
	}
	found, _ := fromexport.Find(source, runs)
	backwards := slices.Clone(runs)
	slices.Reverse(backwards)
	if other, _ := fromexport.Find(source, backwards); (found == nil) != (other == nil) ||
		found != nil && found.UID != other.UID {
		t.Fatalf("%s: %v is found, or %v", brief(runs), found, other)
	}
	if found == nil {
		return
	}
	best := &runs[slices.IndexFunc(runs, func(e v1alpha1.S3Export) bool { return e.UID == types.UID(found.UID) })]
	var newest *v1alpha1.S3Export // Of the whole of that claim.
	for i := range runs {
		if e := &runs[i]; restorable(e) && Whole(e) && e.Status.ClaimUID == best.Status.ClaimUID {
			newest = e
		}
	}
	kept := LastsToRestore(runs, func(e *v1alpha1.S3Export) string {
		if !Whole(e) {
			return ""
		}
		return e.Status.ClaimUID
	})[best.Status.ClaimUID]
	told := Emptied(newest, runs)
	switch {
	case best.IsEmpty() && kept != nil, !best.IsEmpty() && kept != best:
		t.Fatalf("%s: %s is found, and %v kept", brief(runs), best.Name, kept)
	case OutlivesItsTime(best, runs) != (newest != best):
		t.Fatalf("%s: %s is found, %s is the newest, and it outlives its time %t", brief(runs), best.Name, newest.Name,
			OutlivesItsTime(best, runs))
	case newest.IsEmpty() && !best.IsEmpty() && (told == nil || told.EmptierThan(best)):
		t.Fatalf("%s: %s is found, and %v is told", brief(runs), best.Name, told)
	}
}

// brief names what is known of some runs, oldest first.
func brief(runs []v1alpha1.S3Export) (all []string) {
	for i := range runs {
		e := &runs[i]
		text := e.Name + " " + string(StateOf(e)) + " of " + e.Status.ClaimUID
		for word, is := range map[string]bool{
			"files": e.Status.Objects > 0, "links": e.Status.Links > 0, "dry": e.Spec.DryRun, "part": !Whole(e),
			"going": e.DeletionTimestamp != nil, "pruned": Pruning(e),
		} {
			if is {
				text += " " + word
			}
		}
		all = append(all, text)
	}
	return all
}
