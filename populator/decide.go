// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// action is the one write that a pass may make.
type action string

// The actions, in the order of the protocol.
const (
	wait          action = "Wait"
	createPrime   action = "CreatePrime"
	releaseNode   action = "ReleaseNode"
	selectNode    action = "SelectNode"
	markScratch   action = "MarkScratch"
	startMover    action = "StartMover"
	recordFailure action = "RecordFailure"
	deleteMover   action = "DeleteMover"
	markPopulated action = "MarkPopulated"
	rebind        action = "Rebind"
	deletePrime   action = "DeletePrime"
)

// decision is what a pass does and says. A decision without a Reason says nothing: the
// claim's condition stays as it is.
type decision struct {
	Action action
	// Status, Reason and Message become the claim's condition.
	Status  corev1.ConditionStatus
	Reason  v1alpha1.Reason
	Message string
	// Announce is an event beside the condition's own, for example that a population began.
	Announce v1alpha1.Reason
	// Recheck looks again without being woken; zero waits for a watch.
	Recheck time.Duration
}

// rule is one claim about the world. It decides, or passes by returning false, and may
// rely on every rule above it having passed.
type rule func(state) (decision, bool)

// rules in order; the first that decides wins. Up to rebindVolume none needs the source,
// its Secret or the storage class to exist once there is a prime.
func rules() []rule {
	return []rule{
		abandonDeletedClaim,
		finishBoundClaim,
		leaveForeignVolume,
		waitForBinder,
		// From here on the claim is unbound and no volume is promised to it.
		clearOrphanedMover,
		checkClaim, checkClass, waitForSource, waitForInventory, waitForConsumer, waitForSearch,
		createMissingPrime,
		// From here on there is a prime.
		refuseForeignPrime, waitForDeletedPrime,
		mirrorSelectedNode, waitForProvisioner,
		replaceLostPrime, refuseStolenVolume, refuseMadeByHand, makeVolumeScratch,
		// From here on its volume is ours to fill, or the mover is the prime's consumer.
		refuseForeignMover,
		detachMover, checkRebind, rebindVolume,
		waitForDeletedMover,
		acceptResult, rememberFailure, waitForMover,
		tryAgain,
	}
}

// decide is total: the last rule always decides.
func decide(s state) decision {
	for _, r := range rules() {
		if d, ok := r(s); ok {
			return d
		}
	}
	return decision{Action: wait}
}

// because builds a decision that waits and tells why.
func because(status corev1.ConditionStatus, reason v1alpha1.Reason, message string) decision {
	return decision{Action: wait, Status: status, Reason: reason, Message: message}
}

// then gives a decision its action.
func (d decision) then(a action) decision {
	d.Action = a
	return d
}

// again lets a decision look again after a while.
func (d decision) again(after time.Duration) decision {
	d.Recheck = after
	return d
}

// announcing adds an event to a decision.
func (d decision) announcing(r v1alpha1.Reason) decision {
	d.Announce = r
	return d
}
