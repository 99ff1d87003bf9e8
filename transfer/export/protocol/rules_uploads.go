// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

const (
	// uploadsPatience is how long it is tried to end what uploads a run has left, while the export can
	// not go: as long as a server takes to restart, and not as long as somebody waits for a namespace.
	uploadsPatience = 5 * time.Minute
	// abortEvery is the least time between two tries.
	abortEvery = 20 * time.Second
)

// endDeletedRun ends the mover of an export that is being deleted.
func endDeletedRun(s State) (Decision, bool) {
	if s.Export.DeletionTimestamp == nil {
		return Decision{}, false
	}
	switch {
	case !Guarded(s.Export):
		return Decision{Action: Wait}, true // Its pods are garbage.
	case s.Mover == nil || !OwnedBy(s.Mover, s.Export):
		return Decision{}, false
	case !begun(s.Export):
		return Decision{Action: Wait, Recheck: soon}, true // The status tells first that there was one.
	case s.Mover.DeletionTimestamp == nil:
		return Decision{Action: DeleteMover, Recheck: UsersEvery}, true
	}
	return waitForEnd(s), true
}

// endSender ends a mover of a run that has failed before its uploads are ended: it would begin others meanwhile.
func endSender(s State) (Decision, bool) {
	sends := s.Mover != nil && OwnedBy(s.Mover, s.Export) && !attempts.Ended(s.Mover)
	switch {
	case !failed(s.Export), !Guarded(s.Export), s.Abort != nil, !sends, !s.Now.Before(s.giveUpAt()):
		return Decision{}, false
	case s.Mover.DeletionTimestamp == nil || len(s.Strays()) > 0:
		return Decision{Action: DeleteMover, Recheck: UsersEvery}, true
	}
	return Decision{Action: Wait, Recheck: waitEvery}, true
}

// endUploads is for an export that is over or is being deleted, and has our finalizer:
//
//	run                       pod that ends uploads    action
//	complete, never began,    any                      remove the finalizer
//	or a dry run
//	uploads were ended        any                      remove the pod, then the finalizer
//	other                     none                     start it
//	other                     active                   wait
//	other                     done                     tell; the next pass finds them ended
//	other                     failed, time may help    remove it after a while
//	other                     failed for good, or      tell, and remove the finalizer: who deletes a
//	                          without credentials      Secret and an export deletes them together
//	other, for too long       any but done             the same
func endUploads(s State) (Decision, bool) {
	e := s.Export
	if !Guarded(e) || e.DeletionTimestamp == nil && !Over(e) {
		return Decision{}, false
	}
	switch {
	case Complete(e), !begun(e), e.Spec.DryRun:
		return Decision{Action: RemoveFinalizer, Recheck: soon}, true
	case e.Status.AbortedUploads != nil && s.Abort != nil && s.Abort.DeletionTimestamp == nil:
		return Decision{Action: DeleteAbort, Recheck: soon}, true
	case e.Status.AbortedUploads != nil:
		return Decision{Action: RemoveFinalizer, Recheck: soon}, true
	case s.Abort == nil && s.Now.Before(s.giveUpAt()):
		return Decision{Action: StartAbort, Recheck: waitEvery}, true
	case s.Abort == nil:
		return LeaveUploads(s, "no pod could be started that ends them"), true
	}
	return judgeAbort(s), true
}

func judgeAbort(s State) Decision {
	r, over := moverpod.Ending(s.Abort)
	switch {
	case over && r.Class == wire.Done:
		return Decision{Action: Wait, Aborted: &r.AbortedUploads, Recheck: soon}
	case over && r.Reason == wire.NoSuchBucket:
		return Decision{Action: Wait, Aborted: new(int64), Recheck: soon} // There is nothing to end.
	case over && (r.Class == wire.User || r.Reason == wire.CredentialsMissing), !s.Now.Before(s.giveUpAt()):
		return LeaveUploads(s, whyNot(r, over))
	case s.Abort.DeletionTimestamp != nil:
		return Decision{Action: Wait, Recheck: soon}
	case over && s.Now.Sub(s.Abort.CreationTimestamp.Time) >= abortEvery:
		return Decision{Action: DeleteAbort, Recheck: soon}
	}
	return Decision{Action: Wait, Recheck: waitEvery}
}

// giveUpAt is when the export goes although its uploads may be open.
func (s State) giveUpAt() time.Time { return s.endedAfter(s.Started).Add(uploadsPatience) }

// endedAfter is when the run ended or its export was deleted, or else the given time, whichever is the latest.
func (s State) endedAfter(since time.Time) time.Time {
	for _, at := range []*time.Time{timeOf(s.Export.DeletionTimestamp), timeOf(s.Export.Status.CompletionTime)} {
		if at != nil && at.After(since) {
			since = *at
		}
	}
	return since
}

func whyNot(r wire.Report, over bool) string {
	if !over {
		return "the pod that ends them did not end in time"
	}
	return r.Message
}

// LeaveUploads lets an export go whose uploads could not be ended.
func LeaveUploads(s State, why string) Decision {
	return Decision{
		Action: RemoveFinalizer, Announce: v1alpha1.ReasonUploadsLeft, Recheck: soon,
		Message: fmt.Sprintf("Multipart uploads of this export may be open below %s, because: %s. "+
			"List them with `aws s3api list-multipart-uploads` and abort them, or let a lifecycle rule of the bucket do it.",
			s.Export.Status.Location, trimmed(why)),
	}
}
