// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// tellUnready says who is to answer for a snapshot that has neither an error nor is ready, and ends the run when
// nobody does. What was taken may need hours to be of use, where it is sent elsewhere: that has no end.
//
//	status                           who has not answered      in the end
//	no content is named              the snapshot-controller   the run fails
//	a content, which was not taken   the driver                the run fails
//	it was taken                     nobody: it is worked on   -
func tellUnready(s State, age time.Duration) (Decision, bool) {
	t := s.Temporary.Snapshot
	driver := driverName(s)
	if t.Taken {
		d, _ := preparing(s, Wait, poll(age))
		d.Message = "VolumeSnapshot " + t.Name + " was taken, and CSI driver " + driver + " has not made it ready to use yet."
		return d, true
	}
	why := "has no status yet; is a snapshot-controller running?"
	if t.Content {
		why = "was not taken yet; does CSI driver " + driver + " run, with its sidecar csi-snapshotter?"
	}
	if age >= answerLimit {
		return failing(v1alpha1.ReasonSnapshotFailed,
			"VolumeSnapshot %s, of claim %s, %s Nobody answered for %s. The export is over; correct that and make a new one.",
			t.Name, s.Export.Spec.ClaimName, why, answerLimit)
	}
	return waiting(v1alpha1.ReasonSnapshotPending, poll(age),
		"VolumeSnapshot %s, of claim %s, %s The export fails at %s UTC if nobody answers.", t.Name, s.Export.Spec.ClaimName,
		why, t.CreationTimestamp.Add(answerLimit).UTC().Format(time.DateTime))
}

// tellKept names what was told to go long ago, and keeps a new one from being made.
func tellKept(s State) (Decision, bool) {
	var kept metav1.Object
	what := "VolumeSnapshot"
	t := s.Temporary
	switch {
	case s.ownsTemporaryClaim() && t.Claim.DeletionTimestamp != nil:
		kept, what = t.Claim, "Claim"
	case s.ownsSnapshot() && t.Snapshot.DeletionTimestamp != nil:
		kept = &t.Snapshot.ObjectMeta
	default:
		return Decision{}, false
	}
	since := kept.GetDeletionTimestamp()
	if s.Now.Sub(since.Time) < answerPatience {
		return Decision{}, false
	}
	return waiting(v1alpha1.ReasonRemovalPending, waitEvery,
		"%s %s was told to go at %s UTC, and finalizers keep it: %s. A pod may use it, or the controller that removes them "+
			"does not run. The export goes on when it is gone.", what, kept.GetName(),
		since.UTC().Format(time.DateTime), strings.Join(kept.GetFinalizers(), ", "))
}

// unmatched tells that the volume of the temporary claim was not read, or does not know it.
func unmatched(t Temporary) bool {
	return t.Volume == nil || t.Volume.Spec.ClaimRef == nil || t.Volume.Spec.ClaimRef.UID != t.Claim.UID
}

// waitForConsumerToEnd: where its node does not answer, somebody has to say that it is gone.
func waitForConsumerToEnd(s State) (Decision, bool) {
	c := s.Temporary.Consumer
	if s.Now.Sub(c.DeletionTimestamp.Time) < endPatience {
		return preparing(s, Wait, soon)
	}
	return waiting(v1alpha1.ReasonMoverLost, waitEvery,
		"Pod %s, which had the temporary claim bound, was told to end at %s UTC and is still there. If its node is gone for "+
			"good, delete the pod: kubectl delete pod %s --force; the export then goes on.",
		c.Name, c.DeletionTimestamp.UTC().Format(time.DateTime), c.Name)
}

// driverName is for people, also where nobody knows it.
func driverName(s State) string { return cmp.Or(driverOf(s), "of the volume") }

// removalSlowest is the longest pause between two tries of a removal that is refused.
const removalSlowest = 10 * time.Minute

// Remaining waits with a removal that was refused, for longer the longer it is: what is left costs money, and a run
// to the same place waits for it.
func Remaining(s State, why string) Decision {
	d := Decision{Action: Wait, Remains: why, Recheck: refusalDelay}
	if c := meta.FindStatusCondition(s.Export.Status.Conditions, v1alpha1.ConditionRemovalPending); c != nil {
		d.Recheck = min(max(refusalDelay, s.Now.Sub(c.LastTransitionTime.Time)/4), removalSlowest)
	}
	d.Remains += " What the export made for itself is still there; it is tried again, at least every " +
		removalSlowest.String() + "."
	if e := s.Export; !Over(e) && e.DeletionTimestamp == nil && !e.Spec.Suspend {
		d.Phase, d.Reason, d.Message = v1alpha1.ExportPending, v1alpha1.ReasonRemovalRefused, d.Remains
	}
	return d
}

// RemovedSince is the earliest time at which what there is of an export was to go.
func RemovedSince(s State) time.Time { return s.endedAfter(s.Export.CreationTimestamp.Time) }

// tellRemains repeats why a run that is over has not removed what it made; empty where nothing keeps it.
func tellRemains(e *v1alpha1.S3Export) string {
	c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionRemovalPending)
	if c == nil {
		return ""
	}
	return " " + c.Message
}
