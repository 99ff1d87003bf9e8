// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/provisioner"
)

// dimensions of the world; the test walks their whole cross product. A later dimension
// changes what an earlier one built.
var dimensions = [][]change{
	{nothing, noSource, otherSpec, otherNodes},
	{nothing, noClass, noCSI, lateClass, immediately, class(storagev1.VolumeBindingImmediate, provisioner.None)},
	{nothing, claimNode, unsearched},
	{
		nothing, withPrime, oldPrime, primeOnNode, primeLostNode, foreignPrime, boundPrime, lostPrime, deletingPrime,
		filledPrime, oversizedPrime,
		growingBeyond(1 << 30), growingBeyond(3 << 30),
		failedBefore(false, noon), failedBefore(false, noon.Add(-time.Hour)), failedBefore(true, noon),
	},
	{nothing, unmarked, stolen, volumeGoes, tooSmall, free},
	{
		nothing, pendingMover, runningMover, doneMover, silentMover, lyingMover, retryMover, userMover, evictedMover,
		deletingMover, foreignMover, justLostMover, silentMoverNode, evictedAndDeleted, vanished,
	},
	{nothing, rebound, bindingToOurs, boundToOurs, boundElsewhere},
	{nothing, toldOfSuccess},
	{nothing, deleting},
}

// volumeDimensions are those that decide which volume a mover gets.
var volumeDimensions = [][]change{
	{nothing, lateClass, immediately},
	{
		nothing, withPrime, oldPrime, primeOnNode, primeLostNode, foreignPrime, boundPrime, lostPrime, deletingPrime,
		filledPrime, failedBefore(false, noon.Add(-time.Hour)), heldSomething, heldThenUnreachable,
		completedUnheard, sharedVolume,
	},
	{nothing, otherSpec},
	{
		nothing, retained, reclaimed, unmarked, stolen, unclaimed, volumeGoes, madeByHand, free, freeToDelete,
		releasing, kept,
	},
	{nothing, newConsumer, readyConsumer, withConsumer(0, unlabelled)},
	{nothing, knowsCapture, knowsOfAnotherClaim},
	{nothing, attachedTo("a", 0)},
	{nothing, runningMover, doneMover},
	{nothing, rebound, boundToOurs, boundElsewhere},
	{nothing, deleting},
}

// evidenceDimensions are those by which a claim, its prime, its volume and its mover are told
// from others: each part of each predicate is wrong alone in one of them.
var evidenceDimensions = [][]change{
	{nothing, otherSpec},
	{withPrime, bindingPrime, boundPrime, filledPrime},
	{nothing, unlabelledPrime, orphanPrime, primeOfAnother},
	{
		nothing, otherVAC, otherMode, otherAccess, tooSmall, largerVolume, stolen, sameName, volumeGoes, unmarked,
		scratchOfAnother, reclaimed, brokenVolume, free, madeByHand, releasing, releasingAnother, kept,
	},
	{
		nothing, runningMover, doneMover, lyingMover, silentMover, sidecarDone, doneInRunningPod, doneUnlabelled,
		doneOfAnother, doneOfEarlierPrime,
	},
	{nothing, rebound, boundToOurs, bindingToOurs, notYetBound, filledForAnother, claimedBack, boundElsewhere},
	{nothing, toldOfSuccess, told(corev1.ConditionFalse, v1alpha1.ReasonPopulated), toldBySomebody},
	{nothing, deleting},
}

// TestDecideKeepsItsPromises walks every combination: no panic, and no action that could
// lose data or leave something behind.
func TestDecideKeepsItsPromises(t *testing.T) {
	if testing.Short() {
		t.Skip("walks hundreds of thousands of worlds")
	}
	worlds := 0
	visit := func(changes []change) {
		worlds++
		s := world(changes...)
		d := Decide(s)
		for name, kept := range promises {
			if !kept(s, d) {
				t.Fatalf("%s: decided %+v in\nclaim %+v\nprime %+v\nvolume %+v\nmover %+v",
					name, d, s.Claim, s.Prime, s.PrimeVolume, s.Mover)
			}
		}
	}
	walk(evidenceDimensions, nil, visit)
	walk(volumeDimensions, nil, visit)
	walk(dimensions, nil, visit)
	if worlds < 100_000 {
		t.Errorf("only %d worlds were walked", worlds)
	}
}

func doneOfEarlierPrime(s *State) {
	doneMover(s)
	ofEarlierPrime(s)
}

func heldThenUnreachable(s *State) {
	heldSomething(s)
	thenUnreachable(s)
}

func walk(left [][]change, chosen []change, visit func([]change)) {
	if len(left) == 0 {
		visit(chosen)
		return
	}
	for _, c := range left[0] {
		walk(left[1:], append(slices.Clip(chosen), c), visit)
	}
}

// growingBeyond is a volume that was too small and may grow, whose next size is remembered.
func growingBeyond(bytes int64) change {
	return func(s *State) {
		tooSmallBefore(s)
		grown(bytes, 1)(s)
		if s.Source != nil {
			growing(s)
		}
	}
}
