// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// LastWithFiles is the last complete run of a claim that had files, also where its objects are being removed; nil where
// there is none. One with links alone is it where none has regular files. Names decide between those that ended in one
// second.
func LastWithFiles(exports []v1alpha1.S3Export, claim types.UID) *v1alpha1.S3Export {
	return lastsWithFiles(exports, func(e *v1alpha1.S3Export) string { return e.Status.ClaimUID })[string(claim)]
}

// LastsToRestore are, of each group, the last complete run that had files and is not being removed: it is of use when
// all that came after it found a disk that is not mounted. The group "" has none.
func LastsToRestore(exports []v1alpha1.S3Export, group func(*v1alpha1.S3Export) string) map[string]*v1alpha1.S3Export {
	return lastsWithFiles(exports, func(e *v1alpha1.S3Export) string {
		if Pruning(e) || e.DeletionTimestamp != nil {
			return ""
		}
		return group(e)
	})
}

func lastsWithFiles(exports []v1alpha1.S3Export, group func(*v1alpha1.S3Export) string) map[string]*v1alpha1.S3Export {
	lasts := map[string]*v1alpha1.S3Export{}
	for i := range exports {
		e := &exports[i]
		if StateOf(e) != Complete || e.Spec.DryRun || e.IsEmpty() {
			continue
		}
		if g := group(e); g != "" && (lasts[g] == nil || standsFor(e, lasts[g])) {
			lasts[g] = e
		}
	}
	return lasts
}

// standsFor tells that a run with files is to be looked at rather than another one: the later, but links alone, as a
// volume has that somebody has emptied, stand for no regular files.
func standsFor(e, other *v1alpha1.S3Export) bool {
	if e.EmptierThan(other) || other.EmptierThan(e) {
		return other.EmptierThan(e)
	}
	return endedBefore(other, e)
}

// Whole tells that a run is of all of a volume.
func Whole(e *v1alpha1.S3Export) bool {
	return e.Spec.Path == "" && len(e.Spec.Include) == 0 && len(e.Spec.Exclude) == 0 && e.Spec.Destination.Key == ""
}

// Holds tells that one run is of all of a volume, or of the same part as another: it has what that one was to have.
func Holds(e, other *v1alpha1.S3Export) bool {
	return Whole(e) || !Whole(other) && PartOf(e) == PartOf(other)
}

// Emptied is the last run with files that an empty one came after, of the same part of the volume or of all of it; nil
// where there is none. One with links alone is it where none has regular files. It is what there is to restore.
func Emptied(e *v1alpha1.S3Export, runs []v1alpha1.S3Export) (last *v1alpha1.S3Export) {
	if !e.IsEmpty() {
		return nil
	}
	for i := range runs {
		o := &runs[i]
		if restorable(o) && !o.IsEmpty() && follows(e, o) && (last == nil || standsFor(o, last)) {
			last = o
		}
	}
	return last
}

// OutlivesItsTime tells that a run with files is not to expire: an emptier one came after it, as of a disk that is not
// mounted, and none with as much has, so that it is what there is to restore.
func OutlivesItsTime(e *v1alpha1.S3Export, runs []v1alpha1.S3Export) bool {
	if e.IsEmpty() || !restorable(e) {
		return false
	}
	emptied := false
	for i := range runs {
		o := &runs[i]
		if !restorable(o) || !follows(o, e) {
			continue
		}
		if !o.EmptierThan(e) {
			return false
		}
		emptied = true
	}
	return emptied
}

// restorable tells that what a run has left is there, and stays.
func restorable(e *v1alpha1.S3Export) bool {
	return StateOf(e) == Complete && !e.Spec.DryRun && !Pruning(e) && e.DeletionTimestamp == nil
}

// follows tells that a run of the same claim ended after another and holds what that one does.
func follows(e, other *v1alpha1.S3Export) bool {
	return e.Status.ClaimUID == other.Status.ClaimUID && Holds(e, other) && endedBefore(other, e)
}

func endedBefore(a, b *v1alpha1.S3Export) bool {
	at, than := timeOf(a), timeOf(b)
	return at.Before(than) || at.Equal(than) && a.Name < b.Name
}

// timeOf is zero where nobody knows when a run ended.
func timeOf(e *v1alpha1.S3Export) (at time.Time) {
	if e.Status.CompletionTime != nil {
		at = e.Status.CompletionTime.Time
	}
	return at
}

// NoFile tells that neither of two runs has a file: their digests, which are of regular files, are the same. Runs of
// earlier versions did not count their links, so that nobody can tell here whether the older one has any: a mover would
// remove nothing of one with links, however often it is tried.
func NoFile(newest, e *v1alpha1.S3Export) bool {
	return newest.IsEmpty() && e.IsEmpty() && newest.Status.ManifestDigest == e.Status.ManifestDigest
}
