// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
)

// isComplete tells that what an export has left is there to be restored. Dry runs leave nothing, and of one whose
// objects are being removed nobody can say what is left.
func isComplete(e *v1alpha1.S3Export) bool {
	return !e.Spec.DryRun && retention.StateOf(e) == retention.Complete && !retention.Pruning(e)
}

// lasts are the exports of a claim that are told of; each nil for none.
type lasts struct {
	// complete is the last complete one, and failed the last one that failed and was not made good.
	complete, failed *v1alpha1.S3Export
	// emptied is the last complete one that found no file where one before it had some, if none with files came since.
	emptied *v1alpha1.S3Export
	// underWay has not ended.
	underWay *v1alpha1.S3Export
}

// lastOf looks at all but dry runs.
func lastOf(s state) lasts {
	type export = v1alpha1.S3Export
	return lasts{
		complete: newest(s, isComplete),
		failed:   newest(s, func(e *export) bool { return retention.StateOf(e) == retention.Failed && !madeGood(s, e) }),
		emptied:  newest(s, func(e *export) bool { return isComplete(e) && empties(s, e) && !refilled(s, e) }),
		underWay: newest(s, func(e *export) bool { return retention.StateOf(e) == retention.Active }),
	}
}

// newest is the last one of those that are wanted.
func newest(s state, wanted func(*v1alpha1.S3Export) bool) (last *v1alpha1.S3Export) {
	for i := range s.Exports {
		if e := &s.Exports[i]; !e.Spec.DryRun && wanted(e) && later(e, last) {
			last = e
		}
	}
	return last
}

// madeGood tells that a later export was complete that holds what the failed one was to. One of another policy may be
// elsewhere, and does not stand for a copy that fails each night, nor does one that found no file where some were.
func madeGood(s state, failed *v1alpha1.S3Export) bool {
	for i := range s.Exports {
		e := &s.Exports[i]
		if isComplete(e) && later(e, failed) && retention.Holds(e, failed) && sameMaker(e, failed) && !empties(s, e) {
			return true
		}
	}
	return false
}

// sameMaker tells that an export is of the same policy as another, or of the annotations of the claim as that is. One
// that was made by hand may be followed by any.
func sameMaker(e, other *v1alpha1.S3Export) bool {
	by, of := metav1.GetControllerOf(e), metav1.GetControllerOf(other)
	return of == nil || by != nil && by.UID == of.UID
}

// lastWhole is the last complete export of all of the volume.
func lastWhole(s state) *v1alpha1.S3Export {
	return newest(s, func(e *v1alpha1.S3Export) bool { return retention.Whole(e) && isComplete(e) })
}

// later tells whether one export ended after another; names decide between those of one second.
func later(e, than *v1alpha1.S3Export) bool {
	if than == nil {
		return true
	}
	a, b := ended(e), ended(than)
	return a.After(b) || a.Equal(b) && e.Name > than.Name
}

func ended(e *v1alpha1.S3Export) time.Time {
	if e.Status.CompletionTime != nil {
		return e.Status.CompletionTime.Time
	}
	return e.CreationTimestamp.Time
}

// keeps is the reason and the message of what an export waits for; empty where it runs or will in its turn.
func keeps(e *v1alpha1.S3Export) string {
	if e == nil || retention.StateOf(e) != retention.Active {
		return ""
	}
	c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil || c.Reason == string(v1alpha1.ReasonExporting) || c.Reason == string(v1alpha1.ReasonQueued) {
		return ""
	}
	return fmt.Sprintf("%s: %s", c.Reason, c.Message)
}

// tell is where the last complete export is, and where all of the volume is, if that is another one.
func tell(s state, complete *v1alpha1.S3Export) string {
	if complete == nil {
		return "No complete S3Export is known."
	}
	text := tellOne(complete)
	if retention.Whole(complete) {
		return text
	}
	text += " It holds a part of the volume."
	if all := lastWhole(s); all != nil {
		text += " " + tellOne(all)
	}
	return text
}

func tellOne(complete *v1alpha1.S3Export) string {
	links := ""
	if n := complete.Status.Links; n > 0 {
		links = fmt.Sprintf(" and %d symbolic links", n)
	}
	text := fmt.Sprintf("S3Export %s was complete at %s: %d objects, %d bytes%s at %s, digest %s.", complete.Name,
		ended(complete).UTC().Format(time.RFC3339), complete.Status.Objects, complete.Status.Bytes, links,
		complete.Status.Location, complete.Status.ManifestDigest)
	if n := complete.Status.ChangedFiles; n > 0 {
		text += fmt.Sprintf(" %d files changed each time that they were read.", n)
	}
	if n := complete.Status.GoneFiles; n > 0 {
		text += fmt.Sprintf(" %d files were removed, renamed or moved meanwhile, and may be missing.", n)
	}
	if n := complete.Status.SkippedPaths; n > 0 {
		text += fmt.Sprintf(" %d paths were left out, because they cannot be keys or are the storage's.", n)
	}
	if complete.Spec.Destination.Key == "" && !strings.Contains(complete.Status.Location, string(complete.UID)) {
		text += " Runs share that place: from the start of a later run until it is complete, nothing can be restored " +
			"from there."
	}
	return text
}

func tellFailure(failed *v1alpha1.S3Export) string {
	text := fmt.Sprintf("S3Export %s failed at %s", failed.Name, ended(failed).UTC().Format(time.RFC3339))
	if c := meta.FindStatusCondition(failed.Status.Conditions, v1alpha1.ConditionFailed); c != nil {
		text += fmt.Sprintf(": %s: %s", c.Reason, c.Message)
	}
	return text
}
