// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// decisionsOfMovers are of primes that have a volume.
func decisionsOfMovers() map[string]decideCase {
	return map[string]decideCase{
		"a retained volume becomes scratch first": {
			world(boundPrime, unmarked, retained),
			want{Action: MarkScratch},
			"",
		},
		"the policy of an administrator is not fought": {
			world(boundPrime, retainedByHand),
			want{Action: StartMover},
			"",
		},
		"a prime without its phase gets no mover yet": {world(boundPrime, noPhase), want{Action: Wait}, ""},
		"nor for long without a word": {
			world(boundPrime, noPhase, madeLongAgo),
			want{Wait, late, v1alpha1.ReasonProvisioning},
			"Bound; it has volume pv-1",
		},
		"a filled prime needs no phase": {world(filledPrime, noPhase), want{Action: Rebind}, ""},
		"a bound prime gets a mover":    {world(boundPrime), want{Action: StartMover}, ""},
		"a mover corrects what was said before": {
			world(boundPrime, toldToWait),
			want{StartMover, late, v1alpha1.ReasonPopulating},
			"populate-" + claimUID,
		},
		"a mover needs the source": {
			world(boundPrime, noSource),
			want{Wait, late, v1alpha1.ReasonSourceNotFound},
			"",
		},
		"a running mover is waited for silently at first": {world(boundPrime, runningMover), want{Action: Wait}, ""},
		"a running mover corrects what was said before": {
			world(boundPrime, runningMover, toldToWait),
			want{Wait, late, v1alpha1.ReasonPopulating},
			"s3imports",
		},
		"a mover that runs for long is told of": {
			world(boundPrime, longMover),
			want{Wait, late, v1alpha1.ReasonPopulating},
			"s3imports",
		},
		"a running mover needs no source": {
			world(boundPrime, longMover, noSource),
			want{Wait, late, v1alpha1.ReasonPopulating},
			"",
		},
		"a mover that cannot start is explained": {
			world(boundPrime, oldPendingMover),
			want{Wait, late, v1alpha1.ReasonMoverPending},
			"no such disk",
		},
		"success is written to the prime": {
			world(boundPrime, doneMover),
			want{Action: MarkPopulated},
			"",
		},
		"success needs no source": {
			world(boundPrime, doneMover, noSource, noClass),
			want{Action: MarkPopulated},
			"",
		},
		"exit 0 without a report is a failure": {
			world(boundPrime, silentMover),
			want{Action: RecordFailure},
			"",
		},
		"a report that contradicts the exit code is a failure": {
			world(boundPrime, lyingMover),
			want{Action: RecordFailure},
			"",
		},
		"a failure is written to the prime": {
			world(boundPrime, retryMover),
			want{Action: RecordFailure},
			"",
		},
		"success of an earlier prime's mover is none": {
			world(boundPrime, doneMover, ofEarlierPrime), want{Action: DeleteMover}, "",
		},
		"success of one from before the prime is none": {
			world(boundPrime, olderDone, beforeThePrime), want{Action: DeleteMover}, "",
		},
		"success of an earlier version's mover is success": {
			world(boundPrime, olderDone), want{Action: MarkPopulated}, "",
		},
		"failure of an earlier prime's mover is none": {
			world(boundPrime, userMover, ofEarlierPrime), want{Action: DeleteMover}, "",
		},
		"what it found is on another volume": {
			world(boundPrime, refusedMover, ofEarlierPrime), want{Action: DeleteMover}, "",
		},
		"what it found keeps no volume of a deleted claim": {
			world(boundPrime, refusedMover, ofEarlierPrime, deleting), want{Action: DeleteMover}, "",
		},
		"an earlier prime's mover that goes is waited for": {
			world(boundPrime, deletingMover, ofEarlierPrime), want{Action: Wait}, "",
		},
		"a failure backs off": {
			world(failedBefore(false, noon.Add(-time.Second)), retryMover),
			want{Wait, late, v1alpha1.Reason(wire.AccessDenied)},
			"12:00:09",
		},
		"after the back-off the failed mover goes": {
			world(failedBefore(false, noon.Add(-time.Minute)), retryMover),
			want{Action: DeleteMover},
			"",
		},
		"after the failed mover is gone the next begins": {
			world(failedBefore(false, noon.Add(-time.Minute)), toldToWait),
			want{StartMover, late, v1alpha1.ReasonPopulating},
			"",
		},
		"a final failure stays": {
			world(failedBefore(true, noon.Add(-time.Hour)), userMover),
			want{Wait, "False", v1alpha1.Reason(wire.AccessDenied)},
			"s3populator.io/retry",
		},
		"a final failure stays without its pod and source": {
			world(failedBefore(true, noon.Add(-time.Hour)), noSource),
			want{Wait, "False", v1alpha1.Reason(wire.AccessDenied)},
			"",
		},
		"a changed source ends a final failure": {
			world(failedBefore(true, noon), userMover, otherSpec),
			want{DeleteMover, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"a filled prime loses its mover first":     {world(filledPrime, doneMover), want{Action: DeleteMover}, ""},
		"a filled prime waits for its mover to go": {world(filledPrime, deletingMover), want{Action: Wait}, ""},
		"a filled prime is rebound":                {world(filledPrime), want{Action: Rebind}, ""},
		"a filled prime needs neither source nor class": {
			world(filledPrime, noSource, noClass),
			want{Action: Rebind},
			"",
		},
		"a volume that is too small is not rebound": {
			world(filledPrime, tooSmall),
			want{Wait, "False", v1alpha1.ReasonRebindBlocked},
			"1Mi",
		},
		"a volume of another attributes class is not rebound": {
			world(filledPrime, otherVAC),
			want{Wait, "False", v1alpha1.ReasonRebindBlocked},
			"gold",
		},
		"a stolen volume is not rebound": {
			world(filledPrime, stolen),
			want{Wait, "False", v1alpha1.ReasonRebindBlocked},
			"changed by someone else",
		},
		"an unclaimed volume is not rebound": {
			world(filledPrime, unclaimed),
			want{Wait, "False", v1alpha1.ReasonRebindBlocked},
			"changed by someone else",
		},
		"a volume that is deleted is not rebound": {
			world(filledPrime, volumeGoes),
			want{Wait, "False", v1alpha1.ReasonRebindBlocked},
			"being deleted",
		},
		"a deleted prime is never rebound": {
			world(filledPrime, deletingPrime),
			want{Wait, late, v1alpha1.ReasonProvisioning},
			"being deleted",
		},
		"a lost prime is replaced": {
			world(lostPrime),
			want{DeletePrime, late, v1alpha1.ReasonProvisioning},
			"begins again",
		},
		"a mover without a prime goes before a new prime": {world(runningMover), want{Action: DeleteMover}, ""},
		"between rebind and bind nothing is made":         {world(rebound), want{Action: Wait}, ""},
		"a claim that is being bound is waited for":       {world(bindingToOurs), want{Action: Wait}, ""},
		"one that is bound slowly is told so": {
			world(bindingToOurs, slowBinder),
			want{Wait, late, v1alpha1.ReasonRebinding},
			"",
		},
		"a bound claim is told of before its prime goes": {
			world(filledPrime, boundToOurs),
			want{Wait, "True", v1alpha1.ReasonPopulated},
			"7 objects",
		},
		"then its prime goes": {
			world(filledPrime, boundToOurs, toldOfSuccess),
			want{Action: DeletePrime},
			"",
		},
		"then nothing is done any more": {world(boundToOurs, toldOfSuccess), want{Action: Wait}, ""},
		"a missing source does not block clean-up": {
			world(filledPrime, boundToOurs, toldOfSuccess, noSource, noClass),
			want{Action: DeletePrime},
			"",
		},
		"a claim bound elsewhere is reported": {
			world(boundElsewhere),
			want{Wait, "False", v1alpha1.ReasonBoundElsewhere},
			"not filled",
		},
		"a claim bound elsewhere loses its mover": {
			world(boundPrime, runningMover, boundElsewhere),
			want{DeleteMover, "False", v1alpha1.ReasonBoundElsewhere},
			"",
		},
		"a deleted claim loses its mover first": {
			world(boundPrime, runningMover, deleting),
			want{Action: DeleteMover},
			"",
		},
		"then its prime": {world(boundPrime, deleting), want{Action: DeletePrime}, ""},
		"a deleted claim needs neither source nor class": {
			world(boundPrime, deleting, noSource, noClass),
			want{Action: DeletePrime},
			"",
		},
		"then nothing": {world(deleting), want{Action: Wait}, ""},
		"an edit of the source is remembered": {
			world(boundPrime, runningMover, otherSpec),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"S3Source models",
		},
		"an edit while the mover is pending too": {
			world(boundPrime, pendingMover, otherSpec),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"a bumped retry too": {
			world(boundPrime, runningMover, retried),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"s3populator.io/retry",
		},
		"a source that was deleted and created again too": {
			world(boundPrime, runningMover, recreated),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"then the mover of the earlier request goes": {
			world(failedBefore(false, noon), runningMover, otherSpec),
			want{DeleteMover, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"then a mover of the new request begins": {
			world(failedBefore(false, noon), otherSpec),
			want{Action: StartMover},
			"",
		},
		"success of an earlier request is no success": {
			world(boundPrime, doneMover, otherSpec),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"failure of an earlier request is none": {
			world(boundPrime, userMover, otherSpec),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"a pending mover is placed anew": {
			world(boundPrime, pendingMover, otherNodes),
			want{RecordEdit, late, v1alpha1.ReasonRequestChanged},
			"has changed how the mover pod",
		},
		"a running mover stays where it is": {
			world(boundPrime, longMover, otherNodes),
			want{Wait, late, v1alpha1.ReasonPopulating},
			"",
		},
		"success in another place is success": {
			world(boundPrime, doneMover, otherNodes),
			want{Action: MarkPopulated},
			"",
		},
		"a final failure ends with another place": {
			world(failedBefore(true, noon), otherNodes),
			want{Action: StartMover},
			"",
		},
		"another selector ends no mover": {
			world(boundPrime, pendingMover, otherUse),
			want{Action: Wait},
			"",
		},
		"an upgrade ends no mover": {
			world(boundPrime, pendingMover, upgraded),
			want{Action: Wait},
			"",
		},
		"a mover of an earlier version goes on": {
			world(boundPrime, olderMover, otherSpec),
			want{Action: Wait},
			"",
		},
		"a filled prime of an earlier request loses a mover": {
			world(filledPrime, doneMover, otherSpec),
			want{DeleteMover, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"then it is replaced": {
			world(filledPrime, otherSpec),
			want{ReplacePrime, late, v1alpha1.ReasonRequestChanged},
			"replaced and filled again",
		},
		"a filled prime is replaced for a bumped retry": {
			world(filledPrime, retried),
			want{ReplacePrime, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"a filled prime of an earlier version is rebound": {
			world(filledByAnEarlierVersion, otherSpec),
			want{Action: Rebind},
			"",
		},
		"a filled prime is rebound after an upgrade": {
			world(filledPrime, upgraded, otherUse, otherNodes),
			want{Action: Rebind},
			"",
		},
		"two edits are followed at once": {world(edited(2)), want{Action: StartMover}, ""},
		"many edits are followed later": {
			world(edited(4)),
			want{Wait, late, v1alpha1.ReasonRequestChanged},
			"4 times in a row",
		},
		"an inventory of an earlier spec gives no size": {
			world(growing, staleInventory),
			want{Wait, late, v1alpha1.ReasonInventoryPending},
			"",
		},
		"an inventory of an earlier version does": {world(growing, oldInventory), want{Action: CreatePrime}, ""},
		"a size that a mover found does": {
			world(growing, grown(3<<30, 1)),
			want{Action: CreatePrime},
			"",
		},
		"a volume that is too small stays so": {
			world(tooSmallBefore),
			want{Wait, "False", v1alpha1.Reason(wire.VolumeTooSmall)},
			"",
		},
		"unless it may grow, which is remembered": {
			world(growing, tooSmallBefore),
			want{RememberSize, late, v1alpha1.Reason(wire.VolumeTooSmall)},
			"3.0Gi",
		},
		"then its prime is replaced": {
			world(growing, tooSmallBefore, grown(3<<30, 1)),
			want{ReplacePrime, late, v1alpha1.Reason(wire.VolumeTooSmall)},
			"",
		},
		"but not for ever": {
			world(growing, tooSmallBefore, grown(1<<30, growLimit)),
			want{Wait, "False", v1alpha1.Reason(wire.VolumeTooSmall)},
			"",
		},
		"a prime that asks for too much is replaced": {
			world(oversizedPrime, otherSpec),
			want{ReplacePrime, late, v1alpha1.ReasonRequestChanged},
			"",
		},
		"one that asks for what is needed is waited for": {world(oversizedPrime), want{Action: Wait}, ""},
	}
}
