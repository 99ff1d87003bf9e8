// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

const (
	// soon is when an import is looked at again after a write that wakes nobody for certain.
	soon = time.Second
	// UsersEvery is how often the users of a claim are looked at while a mover is there: pods of others
	// are not watched.
	UsersEvery = 10 * time.Second
	// waitEvery is how often something is looked at that no watch tells of.
	waitEvery = 15 * time.Second
	// moverPatience is how long a mover may wait for its node, image or mounts before that is told.
	moverPatience = 20 * time.Second
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
		only(freeClaim),
		only(tidyOver),
		only(expire),
		only(refuseForeignMover),
		only(tellEnd),
		only(tellVanished),
		only(waitForDeletedMover),
		only(suspend),
		only(makeWay),
		only(leaveGoingClaim),
		only(leaveOtherClaim),
		only(leaveOtherSelection),
		only(waitForMover),
		only(refuseClaimOfOurs),
		only(waitForClaim),
		only(refuseClaim),
		only(waitForSource),
		only(refuseSource),
		only(refuseOtherSelection),
		only(waitForRetry),
		only(removeEndedMover),
		only(waitForOthers),
		waitForUser,
		only(waitForPlace),
		only(noteSelection),
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
		Action: StartMover, Phase: v1alpha1.ImportPending, Reason: v1alpha1.ReasonImporting,
		Message: fmt.Sprintf("Pod %s loads the objects as soon as it runs.", moverpod.ImporterName(string(s.Import.UID))),
		Recheck: UsersEvery,
	}
}

// WantsPlace tells that nothing but a place in the queue is missing for a mover.
func WantsPlace(s State, defaults moverpod.Defaults) bool {
	s.Queued = nil
	action := Decide(s, defaults).Action
	return action == NoteSelection || action == StartMover
}

func waiting(reason v1alpha1.Reason, recheck time.Duration, format string, args ...any) (Decision, bool) {
	return Decision{
		Action: Wait, Phase: v1alpha1.ImportPending, Reason: reason,
		Message: fmt.Sprintf(format, args...), Recheck: recheck,
	}, true
}

// failing ends a run that no mover can help.
func failing(reason v1alpha1.Reason, format string, args ...any) (Decision, bool) {
	return Decision{
		Action: Wait, Phase: v1alpha1.ImportFailed, Reason: reason, Message: fmt.Sprintf(format, args...), Recheck: soon,
	}, true
}

// endDeletedRun ends the mover of an import that is being deleted, whoever still holds that. Nothing else is left of
// it: the mover removes what it has not put into place, and the pod is garbage.
func endDeletedRun(s State) (Decision, bool) {
	if s.Import.DeletionTimestamp == nil {
		return Decision{}, false
	}
	if s.ours() && attempts.Active(s.Mover) {
		return Decision{Action: DeleteMover, Recheck: UsersEvery}, true
	}
	return Decision{Action: Wait}, true
}

// tidyOver removes the pod of a run that is over. The last mover of a failed one stays, for its logs.
func tidyOver(s State) (Decision, bool) {
	if !Over(s.Import) || !s.ours() || s.Mover.DeletionTimestamp != nil ||
		!Complete(s.Import) && attempts.Ended(s.Mover) {
		return Decision{}, false
	}
	return Decision{Action: DeleteMover}, true
}

// expire deletes an import that was over for long enough, and ends all that is to be done for one.
func expire(s State) (Decision, bool) {
	i := s.Import
	if !Over(i) {
		return Decision{}, false
	}
	ttl := i.Spec.TTLSecondsAfterFinished
	if ttl == nil || i.Status.CompletionTime == nil {
		return Decision{Action: Wait}, true
	}
	left := i.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second).Sub(s.Now)
	if left > 0 {
		return Decision{Action: Wait, Recheck: left}, true
	}
	return Decision{Action: DeleteImport}, true
}

func refuseForeignMover(s State) (Decision, bool) {
	if s.Mover == nil || s.ours() {
		return Decision{}, false
	}
	return waiting(v1alpha1.ReasonMoverRefused, waitEvery,
		"A pod named %s exists that was not made for this import. Delete it; the import then goes on.", s.Mover.Name)
}

// ours tells that there is a mover of this import.
func (s State) ours() bool { return s.Mover != nil && OwnedBy(s.Mover, s.Import) }

// tellEnd counts the end of a mover before anything is done about it.
func tellEnd(s State) (Decision, bool) {
	if s.Mover == nil || s.Import.Status.EndedMover == string(s.Mover.UID) {
		return Decision{}, false
	}
	r, over := moverpod.Ending(s.Mover)
	switch {
	case over && s.Mover.DeletionTimestamp != nil && r.Class != wire.Done && s.wished():
		return Decision{}, false // We ended it ourselves.
	case over:
		return tellReport(s, r), true
	case s.Mover.DeletionTimestamp != nil && !s.wished():
		return verdict(s, wire.Report{
			Class: wire.Retry, Reason: wire.Interrupted, Message: moverpod.Interruption(s.Mover),
		}), true
	}
	return Decision{}, false
}

// tellVanished counts a mover that is gone before its end was counted, as one that somebody deleted by force, so that
// whoever deletes every mover does not make us start them without a pause. What it loaded is there: the next one
// compares it. One that was seen complete is told of as if it were there: which claim it wrote is known, and what it
// has loaded is noted. The next one would bring back what programs have changed since.
func tellVanished(s State) (Decision, bool) {
	if s.Mover != nil || s.Vanished == nil || s.Import.Status.EndedMover == string(s.Vanished.UID) {
		return Decision{}, false
	}
	s.Mover, s.Deleted = s.Vanished, false // Deleted is about a mover that is there.
	if r, over := moverpod.Ending(s.Mover); over && r.Class == wire.Done {
		return tellReport(s, r), true
	}
	if s.wished() {
		return Decision{}, false
	}
	return verdict(s, moverpod.Vanishing(s.Mover, moverpod.Interruption(s.Mover))), true
}

// tellReport waits with a mover that is complete while nobody can tell whether what it loaded is still asked for.
func tellReport(s State, r wire.Report) Decision {
	if r.Class != wire.Done || !s.mayBeAskedForOther() {
		return verdict(s, believed(s, r))
	}
	d, _ := waiting(v1alpha1.ReasonExportNotFound, waitEvery,
		"Pod %s has loaded everything, but S3Source %s names an S3Export by spec.fromExport that is not there or not "+
			"complete, so that nobody can tell whether it still selects that. Its condition Ready says why.",
		s.Mover.Name, s.Import.Spec.SourceName)
	d.Untold = true
	return d
}

// wished tells that we would end the mover, if it were not ending.
func (s State) wished() bool {
	return s.Deleted || s.Import.Spec.Suspend || s.claimGoes() || s.otherClaim() || s.selectsOther() != "" ||
		s.Claim != nil && (claimusers.MovedFrom(s.Mover, s.Claim, s.Users) || claimusers.Wanted(s.Claim, s.Users))
}

// waitForDeletedMover: no two movers of a run are there at once.
func waitForDeletedMover(s State) (Decision, bool) {
	if s.Mover == nil || s.Mover.DeletionTimestamp == nil {
		return Decision{}, false
	}
	overdue := s.Now.Sub(s.Mover.DeletionTimestamp.Time)
	if overdue < endPatience {
		return Decision{Action: Wait, Recheck: endPatience - overdue}, true
	}
	return waiting(v1alpha1.ReasonMoverLost, waitEvery,
		"Pod %s was told to end at %s UTC and is still there. If node %s is off for good, tell Kubernetes: "+
			"kubectl taint nodes %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; the import then goes on.",
		s.Mover.Name, s.Mover.DeletionTimestamp.UTC().Format(time.DateTime), s.Mover.Spec.NodeName, s.Mover.Spec.NodeName)
}

func suspend(s State) (Decision, bool) {
	if !s.Import.Spec.Suspend {
		return Decision{}, false
	}
	d := Decision{
		Action: Wait, Phase: v1alpha1.ImportSuspended, Reason: v1alpha1.ReasonSuspended,
		Message: "spec.suspend is true. What is loaded stays; the import goes on when spec.suspend is false.",
	}
	if attempts.Active(s.Mover) {
		d.Action = DeleteMover
	}
	return d, true
}

// makeWay ends a mover that keeps the volume from a pod that uses the claim.
func makeWay(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) || s.Claim == nil ||
		!claimusers.MovedFrom(s.Mover, s.Claim, s.Users) && !claimusers.Wanted(s.Claim, s.Users) {
		return Decision{}, false
	}
	d := Decision{Action: DeleteMover, Announce: v1alpha1.ReasonImportMoved}
	d.Message = fmt.Sprintf(
		"Pod %s waits for a node where the claim is not used any more; it is made again.", s.Mover.Name)
	if users := claimusers.Others(s.Users); len(users) > 0 {
		d.Message = fmt.Sprintf(
			"Pod %s makes way for pod %s, which uses the claim; the import goes on beside it or after it.",
			s.Mover.Name,
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
		Action: Wait, Phase: v1alpha1.ImportRunning, Reason: v1alpha1.ReasonImporting,
		Message: fmt.Sprintf("Pod %s loads the objects.", s.Mover.Name), Recheck: UsersEvery,
	}
	switch {
	case attempts.Running(s.Mover):
		return d, true
	case age < moverPatience:
		d.Phase = v1alpha1.ImportPending
		d.Message = fmt.Sprintf("Pod %s loads the objects as soon as it runs.", s.Mover.Name)
		return d, true
	}
	return waiting(v1alpha1.ReasonMoverPending, UsersEvery,
		"Pod %s cannot start yet: %s", s.Mover.Name, moverpod.PendingReason(s.Mover, ""))
}
