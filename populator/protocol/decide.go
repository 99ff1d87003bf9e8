// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Action is the one write that a pass may make.
type Action string

// The actions, in the order of the protocol.
const (
	Wait          Action = "Wait"
	CreatePrime   Action = "CreatePrime"
	ReleaseNode   Action = "ReleaseNode"
	SelectNode    Action = "SelectNode"
	StartConsumer Action = "StartConsumer"
	// DeleteConsumer comes before anything else uses the volume.
	DeleteConsumer Action = "DeleteConsumer"
	// ReleaseVolume and RememberPrime are for a volume that is not ours to fill.
	ReleaseVolume Action = "ReleaseVolume"
	RememberPrime Action = "RememberPrime"
	MarkScratch   Action = "MarkScratch"
	// KeepVolume protects a volume that held something before its first mover.
	KeepVolume    Action = "KeepVolume"
	StartMover    Action = "StartMover"
	RecordFailure Action = "RecordFailure"
	// RecordFound adds what a mover says of its volume that was recorded before it ended.
	RecordFound   Action = "RecordFound"
	DeleteMover   Action = "DeleteMover"
	MarkPopulated Action = "MarkPopulated"
	Rebind        Action = "Rebind"
	DeletePrime   Action = "DeletePrime"
	// RecordEdit, RememberSize and ReplacePrime follow a changed request or size.
	RecordEdit   Action = "RecordEdit"
	RememberSize Action = "RememberSize"
	ReplacePrime Action = "ReplacePrime"
)

// Decision is what a pass does and says. A decision without a Reason says nothing: the
// claim's condition stays as it is.
type Decision struct {
	Action Action
	// Status, Reason and Message become the claim's condition.
	Status  corev1.ConditionStatus
	Reason  v1alpha1.Reason
	Message string
	// Announce is an event beside the condition's own, for example that a population began.
	Announce v1alpha1.Reason
	// Quiet words are not worth a write, except to correct what the claim was told before.
	Quiet bool
	// Recheck looks again without being woken; zero waits for a watch.
	Recheck time.Duration
}

// rule is one claim about the world. It decides, or passes by returning false, and may
// rely on every rule above it having passed.
type rule func(State) (Decision, bool)

// rules in order; the first that decides wins. Up to rebindVolume none needs the source,
// its Secret or the storage class to exist once there is a prime.
func rules() []rule {
	return []rule{
		abandonDeletedClaim,
		finishBoundClaim,
		leaveForeignVolume,
		waitForBinder,
		// From here on the claim is unbound and no volume is promised to it.
		clearOrphanedPods,
		checkClaim, checkClass, waitForExport, waitForOwnSource, waitForSource, waitForInventory, waitForConsumer,
		waitForSearch, waitForNextPrime,
		createMissingPrime,
		// From here on there is a prime.
		refuseRelabelledPrime, refuseForeignPrime, waitForDeletedPrime,
		replaceOversizedPrime, mirrorSelectedNode, waitForScheduler, runConsumer, waitForProvisioner,
		replaceLostPrime, releaseCaptured, refuseStolenVolume, endConsumer, keepVolume, waitForReclaim, makeVolumeScratch,
		waitForBoundPhase,
		// From here on its volume is bound, was made for it, and is ours to fill.
		refuseRelabelledMover, refuseForeignMover, endMoverOfEarlierPrime,
		discardOutdatedResult, detachMover, checkRebind, rebindVolume,
		rememberFound, rememberDisruption, waitForDeletedMover,
		endOutdatedMover, acceptResult, rememberFailure, tellLostNode, waitForMover, rememberVanished,
		growVolume, replaceUnproven, fenced(tryAgain),
	}
}

// Decide is total: the last rule always decides.
func Decide(s State) Decision {
	for _, r := range rules() {
		if d, ok := r(s); ok {
			return hush(s, inTurn(s, d))
		}
	}
	return Decision{Action: Wait}
}

// hush takes the words of a quiet decision away, unless they correct what the claim's
// condition says: a condition must not go on telling of what is over.
func hush(s State, d Decision) Decision {
	if !d.Quiet {
		return d
	}
	d.Quiet = false
	if was, told := Populated(s.Claim); !told || was.Status == corev1.ConditionTrue || was.Reason == string(d.Reason) {
		d.Status, d.Reason, d.Message = "", "", ""
	}
	return d
}

// Because builds a decision that waits and tells why.
func Because(status corev1.ConditionStatus, reason v1alpha1.Reason, message string) Decision {
	return Decision{Action: Wait, Status: status, Reason: reason, Message: message}
}

// Then gives a decision its action.
func (d Decision) Then(a Action) Decision {
	d.Action = a
	return d
}

// Again lets a decision look again after a while.
func (d Decision) Again(after time.Duration) Decision {
	d.Recheck = after
	return d
}

// Quietly keeps a decision from being told for its own sake.
func (d Decision) Quietly() Decision {
	d.Quiet = true
	return d
}

// Announcing adds an event to a decision.
func (d Decision) Announcing(r v1alpha1.Reason) Decision {
	d.Announce = r
	return d
}
