// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/claimusers"
	"github.com/s3populator/s3populator/transfer/retention"
)

const (
	// soon is when an export is looked at again after a write that wakes nobody for certain.
	soon = time.Second
	// UsersEvery is how often the users of a claim are looked at while a mover is there: pods of others
	// are not watched.
	UsersEvery = 10 * time.Second
	// waitEvery is how often something is looked at that no watch tells of.
	waitEvery = 15 * time.Second
	// moverPatience is how long a mover may wait for its node, image or mounts before that is told.
	moverPatience = 20 * time.Second
	// toldFor is how long an export that is over is there at least: who tells on its claim where the data is, and how it
	// ended, reads it from a cache.
	toldFor = 10 * time.Second
	// runsEvery is how often a run whose time is over, and that has files which no later one has found, is looked at
	// again: later ones do not wake it.
	runsEvery = 10 * time.Minute
	// endPatience is how long a pod may still be there after its grace period.
	endPatience = time.Minute
)

// rule decides, or passes by returning false. It may rely on every rule before it having passed.
type rule func(State, moverpod.Defaults) (Decision, bool)

// rules in their order. What an ended mover has to tell comes before everything that starts or ends
// one, and deletion before all.
func rules() []rule {
	return []rule{
		only(endDeletedRun),
		only(endTemporaries),
		only(freeClaim),
		only(endSender),
		only(endUploads),
		only(tidyOver),
		only(expire),
		only(refuseForeignMover),
		only(endOtherStep),
		only(tellEnd),
		only(tellVanished),
		only(waitForDeletedMover),
		only(suspend),
		only(makeWay),
		only(endStuckMover),
		only(endMoverOfLostCopy),
		only(tellLostPods),
		only(waitForMover),
		only(refusePrime),
		only(waitForClaim),
		only(refuseClaim),
		only(refuseShards),
		only(refusePrefix),
		only(renewPlan),
		only(waitForRetry),
		only(removeEndedMover),
		only(waitForOthers),
		waitForUser,
		only(guard),
		only(takeSnapshot),
		only(waitForPlace),
		only(makeClaim),
	}
}

// only is for a rule that needs no defaults of movers.
func only(r func(State) (Decision, bool)) rule {
	return func(s State, _ moverpod.Defaults) (Decision, bool) { return r(s) }
}

// Decide is pure. The defaults are those of the installation's movers.
func Decide(s State, defaults moverpod.Defaults) Decision {
	for _, r := range rules() {
		if d, ok := r(s, defaults); ok {
			return d
		}
	}
	return Decision{
		Action: StartMover, Phase: v1alpha1.ExportPending, Reason: v1alpha1.ReasonExporting,
		Message: fmt.Sprintf("%s %s as soon as it runs.", nextMover(s.Export), doesNext(s.Export)),
		Recheck: UsersEvery,
	}
}

// WantsPlace tells that nothing but a place in the queue is missing for a mover, or for the claim that it
// reads: those who wait for their turn need none yet.
func WantsPlace(s State, defaults moverpod.Defaults) bool {
	s.Queued = nil
	a := Decide(s, defaults).Action
	return a == StartMover || a == StartConsumer || a == CreateTemporaryClaim
}

func waiting(reason v1alpha1.Reason, recheck time.Duration, format string, args ...any) (Decision, bool) {
	return Decision{
		Action: Wait, Phase: v1alpha1.ExportPending, Reason: reason,
		Message: fmt.Sprintf(format, args...), Recheck: recheck,
	}, true
}

// failing ends a run that no mover can help.
func failing(reason v1alpha1.Reason, format string, args ...any) (Decision, bool) {
	return Decision{
		Action: Wait, Phase: v1alpha1.ExportFailed, Reason: reason, Message: fmt.Sprintf(format, args...), Recheck: soon,
	}, true
}

// tidyOver removes the pods of a run that is over. The last mover of a failed one stays, for its logs.
func tidyOver(s State) (Decision, bool) {
	if !Over(s.Export) {
		return Decision{}, false
	}
	ours := s.Mover != nil && OwnedBy(s.Mover, s.Export)
	switch {
	case len(s.Strays()) > 0:
		return Decision{Action: DeleteMover}, true
	case ours && s.Mover.DeletionTimestamp == nil && (Complete(s.Export) || !attempts.Ended(s.Mover)):
		return Decision{Action: DeleteMover}, true
	case s.Abort != nil && s.Abort.DeletionTimestamp == nil:
		return Decision{Action: DeleteAbort}, true
	}
	return Decision{}, false
}

// expire deletes an export that was over for long enough, and ends all that is to be done for one.
func expire(s State) (Decision, bool) {
	e := s.Export
	if !Over(e) {
		return Decision{}, false
	}
	if !Expires(e) || lastHope(e) || pruning(e) {
		return Decision{Action: Wait}, true
	}
	ttl := time.Duration(*e.Spec.TTLSecondsAfterFinished) * time.Second
	left := e.Status.CompletionTime.Add(max(ttl, toldFor)).Sub(s.Now)
	switch {
	case left > 0:
		return Decision{Action: Wait, Recheck: left}, true
	case s.holdsVolume():
		return Decision{Action: Wait, Recheck: claimEvery}, true
	case retention.OutlivesItsTime(e, s.Runs):
		return Decision{Action: Wait, Recheck: runsEvery}, true
	}
	return Decision{Action: DeleteExport}, true
}

// Expires tells that a run which is over is to be deleted at a time of its own.
func Expires(e *v1alpha1.S3Export) bool {
	return Over(e) && e.Spec.TTLSecondsAfterFinished != nil && e.Status.CompletionTime != nil
}

// BeforeDeletion tells of a run by which a claim is exported before it goes.
func BeforeDeletion(e *v1alpha1.S3Export) bool {
	return e.Labels[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport
}

// holdsVolume tells that the volume which such a run has read was not given back, for whatever reason: it would be
// given up with the export where its own claim was forced away. It is so while the claim is there by which it was read,
// and also where somebody deleted that one, until it is made anew.
func (s State) holdsVolume() bool { return BeforeDeletion(s.Export) && (s.Claim != nil || s.Taken) }

// Takes tells that a volume was taken for such a run, by the record on it, or by whose it is where that was lost.
func Takes(e *v1alpha1.S3Export, volume *corev1.PersistentVolume) bool {
	ref := volume.Spec.ClaimRef
	return recordedFor(e, volume.Annotations[v1alpha1.AnnotationFinalExport]) ||
		ref != nil && ref.Namespace == e.Namespace && ref.Name == e.Spec.ClaimName
}

// recordedFor tells that the record on a volume is of the claim of such a run. A volume that was given back may be
// taken from another claim later, whose run is another one. A record that says nothing may be of any.
func recordedFor(e *v1alpha1.S3Export, record string) bool {
	if record == "" {
		return false
	}
	var of struct {
		UID string `json:"uid"`
	}
	claim := e.Labels[v1alpha1.LabelClaimUID]
	return json.Unmarshal([]byte(record), &of) != nil || of.UID == "" || claim == "" || of.UID == claim
}

// lastHope tells that a volume waits for an export that went wrong: once a claim is gone, the end of its S3Export is
// how people say that its volume may go. Who holds the volume deletes the S3Export. Paths that were to be skipped are
// nothing that went wrong.
func lastHope(e *v1alpha1.S3Export) bool {
	lacks := e.Status.SkippedPaths > 0 && e.Spec.UnsafePaths != v1alpha1.UnsafePathsSkip
	return BeforeDeletion(e) && (!Complete(e) || e.Status.ChangedFiles > 0 || e.Status.GoneFiles > 0 || lacks)
}

func refuseForeignMover(s State) (Decision, bool) {
	if s.Mover == nil || OwnedBy(s.Mover, s.Export) {
		return Decision{}, false
	}
	return waiting(v1alpha1.ReasonMoverRefused, waitEvery,
		"%s exists and was not made for this export. Delete it; the export then goes on.", s.moverName())
}

// tellEnd counts the end of a mover before anything is done about it.
func tellEnd(s State) (Decision, bool) {
	if s.Mover == nil || s.Export.Status.EndedMover == string(s.Mover.UID) {
		return Decision{}, false
	}
	r, over := moverpod.Ending(s.Mover)
	switch {
	case over && s.Mover.DeletionTimestamp != nil && r.Class != wire.Done && s.wished():
		return Decision{}, false // We ended it ourselves.
	case over:
		return verdict(s, believed(s, r)), true
	case s.Mover.DeletionTimestamp != nil && !s.wished():
		return verdict(s, wire.Report{
			Class: wire.Retry, Reason: wire.Interrupted, Message: s.interruption(),
		}), true
	}
	return Decision{}, false
}

// tellVanished counts a mover that is gone before its end was counted, as one that somebody deleted by force, so that
// whoever deletes every mover does not make us start them without a pause. What it sent is found in S3 by the next one.
func tellVanished(s State) (Decision, bool) {
	if s.Mover != nil || s.Vanished == nil || s.Export.Status.EndedMover == string(s.Vanished.UID) {
		return Decision{}, false
	}
	s.Mover, s.Deleted = s.Vanished, false // Deleted is about a mover that is there.
	if s.wished() || s.ofAnotherStep() {
		return Decision{}, false
	}
	return verdict(s, moverpod.Vanishing(s.Mover, s.interruption())), true
}

// wished tells that we would end the mover, if it were not ending.
func (s State) wished() bool {
	return s.Deleted || s.Export.Spec.Suspend || s.stuck() || s.copyIsLost() || s.inTheWay()
}

// inTheWay tells that the mover keeps the volume from pods that use it, or will.
func (s State) inTheWay() bool {
	return s.Claim != nil && !Apart(s.Export) && (claimusers.MovedFrom(s.Mover, s.Claim, s.Users) || s.wanted())
}

// wanted tells that a pod waits for a claim that only one pod may use, and that the mover would use, too.
func (s State) wanted() bool {
	return !Apart(s.Export) && claimusers.Wanted(s.Claim, s.Users)
}

// waitForDeletedMover: no two movers of a run are there at once.
func waitForDeletedMover(s State) (Decision, bool) {
	if s.Mover == nil || s.Mover.DeletionTimestamp == nil {
		return Decision{}, false
	}
	return waitForEnd(s), true
}

// waitForEnd waits for a mover that was told to end. Where its node does not answer it may still send.
func waitForEnd(s State) Decision {
	if len(s.Strays()) > 0 {
		return Decision{Action: DeleteMover, Recheck: UsersEvery}
	}
	overdue := s.Now.Sub(s.Mover.DeletionTimestamp.Time)
	if overdue < endPatience {
		return Decision{Action: Wait, Recheck: endPatience - overdue}
	}
	if s.Job != nil {
		d, _ := waiting(v1alpha1.ReasonMoverLost, waitEvery,
			"Job %s was told to end at %s UTC, and pods of it are still there. If their node is gone for good, delete them: "+
				"kubectl delete pods -l %s=%s --force; the export then goes on.",
			s.Job.Name, s.Mover.DeletionTimestamp.UTC().Format(time.DateTime), batchv1.JobNameLabel, s.Job.Name)
		return d
	}
	d, _ := waiting(v1alpha1.ReasonMoverLost, waitEvery,
		"Pod %s was told to end at %s UTC and is still there. If its node is gone for good, delete the pod: "+
			"kubectl delete pod %s --force; the export then goes on.",
		s.Mover.Name, s.Mover.DeletionTimestamp.UTC().Format(time.DateTime), s.Mover.Name)
	return d
}

func suspend(s State) (Decision, bool) {
	if !s.Export.Spec.Suspend {
		return Decision{}, false
	}
	d := Decision{
		Action: Wait, Phase: v1alpha1.ExportSuspended, Reason: v1alpha1.ReasonSuspended,
		Message: "spec.suspend is true. What is sent stays; the export goes on when spec.suspend is false.",
	}
	if attempts.Active(s.Mover) {
		d.Action = DeleteMover
	} else if next, ok := removeTemporaries(s); ok {
		d.Action, d.Recheck = next.Action, next.Recheck
	}
	return d, true
}

// makeWay ends a mover that keeps the volume from a pod that uses the claim.
func makeWay(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) || !s.inTheWay() {
		return Decision{}, false
	}
	d := Decision{Action: DeleteMover, Announce: v1alpha1.ReasonExportMoved}
	d.Message = fmt.Sprintf(
		"%s waits for a node where the claim is not used any more; it is made again.",
		s.moverName(),
	)
	if users := claimusers.Others(s.Users); len(users) > 0 {
		d.Message = fmt.Sprintf(
			"%s makes way for pod %s, which uses the claim; the export goes on beside it or after it.",
			s.moverName(),
			users[0].Name,
		)
	}
	return d, true
}

// waitForMover tells how far it is, or what keeps it from starting.
func waitForMover(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) {
		return Decision{}, false
	}
	age := s.Now.Sub(s.Mover.CreationTimestamp.Time)
	d := Decision{
		Action: Wait, Phase: v1alpha1.ExportRunning, Reason: v1alpha1.ReasonExporting,
		Message: fmt.Sprintf("%s %s.", s.moverName(), doesNext(s.Export)), Recheck: UsersEvery,
	}
	switch {
	case s.runs():
		return d, true
	case age < moverPatience:
		d.Phase = v1alpha1.ExportPending
		d.Message = fmt.Sprintf("%s %s as soon as it runs.", s.moverName(), doesNext(s.Export))
		return d, true
	}
	return waiting(v1alpha1.ReasonMoverPending, UsersEvery,
		"%s cannot start yet: %s", s.moverName(), moverpod.PendingReason(s.Mover, s.seeJob()))
}
