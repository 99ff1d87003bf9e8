// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/provisioner"
	"github.com/s3populator/s3populator/mover/wire"
)

// dimensions of the world; the test walks their whole cross product. A later dimension
// changes what an earlier one built.
var dimensions = [][]change{
	{nothing, noSource, otherSpec, otherNodes},
	{nothing, noClass, noCSI, lateClass, immediately, class(storagev1.VolumeBindingImmediate, provisioner.None)},
	{nothing, claimNode, unsearched},
	{
		nothing, withPrime, oldPrime, primeOnNode, primeLostNode, foreignPrime, boundPrime, lostPrime, deletingPrime, filledPrime, oversizedPrime,
		growingBeyond(1 << 30), growingBeyond(3 << 30),
		failedBefore(false, noon), failedBefore(false, noon.Add(-time.Hour)), failedBefore(true, noon),
	},
	{nothing, unmarked, stolen, volumeGoes, tooSmall, free},
	{
		nothing, pendingMover, runningMover, doneMover, silentMover, lyingMover, retryMover, userMover, evictedMover,
		deletingMover, foreignMover, overdueMover, silentMoverNode, evictedAndDeleted, vanished,
	},
	{nothing, rebound, bindingToOurs, boundToOurs, boundElsewhere},
	{nothing, toldOfSuccess},
	{nothing, deleting},
}

// volumeDimensions are those that decide which volume a mover gets.
var volumeDimensions = [][]change{
	{nothing, lateClass, immediately},
	{
		nothing, withPrime, oldPrime, primeOnNode, primeLostNode, foreignPrime, boundPrime, lostPrime, deletingPrime, filledPrime,
		failedBefore(false, noon.Add(-time.Hour)), heldSomething, heldThenUnreachable,
	},
	{nothing, otherSpec},
	{nothing, retained, reclaimed, unmarked, stolen, unclaimed, volumeGoes, madeByHand, free, freeToDelete, releasing, kept},
	{nothing, newConsumer, readyConsumer, withConsumer(0, unlabelled)},
	{nothing, knowsCapture},
	{nothing, attachedTo("a", 0)},
	{nothing, runningMover, doneMover},
	{nothing, rebound, boundToOurs, boundElsewhere},
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
				t.Fatalf("%s: decided %+v in\nclaim %+v\nprime %+v\nvolume %+v\nmover %+v", name, d, s.Claim, s.Prime, s.PrimeVolume, s.Mover)
			}
		}
	}
	walk(dimensions, nil, visit)
	walk(volumeDimensions, nil, visit)
	if worlds < 100_000 {
		t.Errorf("only %d worlds were walked", worlds)
	}
}

// foundFull is what the mover of the world said, not what the rules make of it.
func foundFull(s State) bool {
	return foundFullOnce(s) ||
		s.Prime != nil && strings.Contains(s.Prime.Annotations[v1alpha1.AnnotationAttempts], "photos/cat.jpg")
}

// foundFullOnce: a later mover did not come to look.
func foundFullOnce(s State) bool {
	return s.Prime != nil && strings.Contains(s.Prime.Annotations[v1alpha1.AnnotationAttempts], `"held":true`)
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

// editedAfter tells by how worlds are built, not by hashes, that the source was changed after
// movers and primes were made.
func editedAfter(s State) bool {
	return s.Source != nil && s.Source.Spec.Bucket != "datasets"
}

// promises hold for every decision in every world.
var promises = map[string]func(State, Decision) bool{
	"a decision has an action": func(_ State, d Decision) bool { return d.Action != "" },
	"a reason has a status":    func(_ State, d Decision) bool { return (d.Reason == "") == (d.Status == "") },
	"a volume is rebound only when it is complete, unmounted, the prime's, alive and fitting": func(s State, d Decision) bool {
		return d.Action != Rebind || Filled(s.Prime) && s.Mover == nil && RefersTo(s.PrimeVolume, s.Prime) &&
			s.PrimeVolume.DeletionTimestamp == nil && s.PrimeVolume.Status.Phase != corev1.VolumeReleased && s.Prime.DeletionTimestamp == nil && mismatch(s.PrimeVolume, s.Claim) == "" &&
			s.Claim.Spec.VolumeName == "" && s.Claim.DeletionTimestamp == nil && s.Promised == nil
	},
	"a prime is marked populated only by a report of success": func(s State, d Decision) bool {
		return d.Action != MarkPopulated || Ending(s.Mover).Class == wire.Done && OwnedBy(s.Mover, s.Claim)
	},
	"a result whose request is not the newest is never accepted or rebound": func(s State, d Decision) bool {
		return d.Action != MarkPopulated && d.Action != Rebind || !editedAfter(s)
	},
	"a mover whose request is not the newest is ended or on its way out": func(s State, d Decision) bool {
		runs := s.Mover != nil && s.Mover.DeletionTimestamp == nil && OwnedBy(s.Mover, s.Claim)
		return !editedAfter(s) || !runs || d.Reason != v1alpha1.ReasonPopulating && d.Reason != v1alpha1.ReasonMoverPending
	},
	"a prime is replaced only for another request or size, without its mover, and never under a claim that has a volume": func(s State, d Decision) bool {
		return d.Action != ReplacePrime ||
			s.Mover == nil && OwnedBy(s.Prime, s.Claim) && s.Prime.DeletionTimestamp == nil && s.Claim.Spec.VolumeName == "" &&
				s.Promised == nil && s.Claim.DeletionTimestamp == nil && (editedAfter(s) || s.Claim.Annotations[v1alpha1.AnnotationNextPrime] != "")
	},
	"a prime grows only where its user allows that": func(s State, d Decision) bool {
		return d.Action != RememberSize || s.Source.Spec.Sizing.OnTooSmall == v1alpha1.TooSmallGrow
	},
	"a mover that is placed in another way is ended only while it is pending": func(s State, d Decision) bool {
		return d.Action != RecordEdit || editedAfter(s) || s.Mover.Status.Phase == corev1.PodPending
	},
	"a filled prime is never filled again": func(s State, d Decision) bool {
		return d.Action != StartMover || !Filled(s.Prime)
	},
	"a mover starts only on a live prime of ours without another mover": func(s State, d Decision) bool {
		return d.Action != StartMover ||
			s.Mover == nil && s.Source != nil && OwnedBy(s.Prime, s.Claim) && s.Prime.DeletionTimestamp == nil &&
				s.Claim.Spec.VolumeName == "" && s.Claim.DeletionTimestamp == nil && s.Promised == nil
	},
	"no pod that can write starts on an unbound or unchecked volume": func(s State, d Decision) bool {
		return d.Action != StartMover ||
			Bound(s.Prime) && RefersTo(s.PrimeVolume, s.Prime) && s.PrimeVolume.DeletionTimestamp == nil &&
				!captured(s.PrimeVolume) && (scratchFor(s.PrimeVolume, s.Claim) || foundFull(s) && keptAside(s.PrimeVolume))
	},
	"no mover starts beside a consumer or an attachment": func(s State, d Decision) bool {
		return d.Action != StartMover || len(s.Attachments) == 0 && (s.Consumer == nil || !OwnedBy(s.Consumer, s.Claim))
	},
	"a consumer starts only on a live, unbound prime of ours": func(s State, d Decision) bool {
		return d.Action != StartConsumer ||
			s.Consumer == nil && OwnedBy(s.Prime, s.Claim) && !Bound(s.Prime) && s.Prime.DeletionTimestamp == nil &&
				s.Claim.DeletionTimestamp == nil && s.Claim.Spec.VolumeName == "" && s.Promised == nil
	},
	"a volume that is not ours is only released, and only while it is the prime's": func(s State, d Decision) bool {
		if d.Action == ReleaseVolume {
			return captured(s.PrimeVolume) && RefersTo(s.PrimeVolume, s.Prime) && OwnedBy(s.Prime, s.Claim)
		}
		return s.PrimeVolume == nil || !captured(s.PrimeVolume) ||
			d.Action != MarkScratch && d.Action != StartMover && d.Action != Rebind && d.Action != MarkPopulated
	},
	"a volume that held something is never filled, nor given to a deleter": func(s State, d Decision) bool {
		if !foundFull(s) {
			return true
		}
		asked := editedAfter(s) || foundFullOnce(s) // Somebody may have emptied it.
		switch d.Action {
		case DeletePrime, ReplacePrime:
			return s.PrimeVolume == nil || !RefersTo(s.PrimeVolume, s.Prime) || s.PrimeVolume.DeletionTimestamp != nil ||
				releasingFor(s.PrimeVolume, s.Claim) || keptAside(s.PrimeVolume)
		case StartMover:
			return asked && keptAside(s.PrimeVolume)
		case MarkScratch:
			return false
		default:
			return true
		}
	},
	"a prime goes only when its volume is known to be ours, or is released": func(s State, d Decision) bool {
		return d.Action != DeletePrime && d.Action != ReplacePrime || s.PrimeVolume == nil ||
			!RefersTo(s.PrimeVolume, s.Prime) ||
			s.PrimeVolume.DeletionTimestamp != nil ||
			scratchFor(s.PrimeVolume, s.Claim) ||
			releasingFor(s.PrimeVolume, s.Claim) ||
			foundFull(s) && keptAside(s.PrimeVolume)
	},
	"the next prime is thought of before a captured one goes": func(s State, d Decision) bool {
		return d.Action != DeletePrime || s.Claim.DeletionTimestamp != nil || s.Claim.Spec.VolumeName != "" ||
			s.PrimeVolume == nil ||
			ReadNextPrime(s.Claim).Prime == string(s.Prime.UID)
	},
	"a prime is made only for a live, unbound claim without a promised volume": func(s State, d Decision) bool {
		return d.Action != CreatePrime ||
			s.Prime == nil && s.Claim.Spec.VolumeName == "" && s.Claim.DeletionTimestamp == nil && s.Promised == nil
	},
	"a prime goes only when the claim is bound or goes, or its volume is gone or released": func(s State, d Decision) bool {
		return d.Action != DeletePrime || s.Claim.DeletionTimestamp != nil || s.Claim.Spec.VolumeName != "" ||
			s.PrimeVolume == nil ||
			releasingFor(s.PrimeVolume, s.Claim)
	},
	"a prime goes only after its mover": func(s State, d Decision) bool {
		return d.Action != DeletePrime || s.Mover == nil || s.Mover.DeletionTimestamp != nil || !OwnedBy(s.Mover, s.Claim)
	},
	"only what is ours is deleted": func(s State, d Decision) bool {
		switch d.Action {
		case DeletePrime:
			return OwnedBy(s.Prime, s.Claim)
		case DeleteMover:
			return OwnedBy(s.Mover, s.Claim)
		case DeleteConsumer:
			return OwnedBy(s.Consumer, s.Claim)
		default:
			return true
		}
	},
	"only a volume of the prime is written": func(s State, d Decision) bool {
		return d.Action != MarkScratch || RefersTo(s.PrimeVolume, s.Prime)
	},
	"a deleted claim only loses things, after their volume is safe": func(s State, d Decision) bool {
		return s.Claim.DeletionTimestamp == nil ||
			slices.Contains(
				[]Action{DeleteMover, DeleteConsumer, DeletePrime, MarkScratch, ReleaseVolume, KeepVolume, Wait},
				d.Action,
			)
	},
	"a claim at rest is left alone": func(s State, d Decision) bool {
		was, _ := Populated(s.Claim)
		atRest := Bound(s.Claim) && PopulatedFor(s.ClaimVolume, s.Claim) && was.Status == corev1.ConditionTrue &&
			s.Prime == nil &&
			s.Claim.DeletionTimestamp == nil &&
			(s.Mover == nil || !OwnedBy(s.Mover, s.Claim)) &&
			(s.Consumer == nil || !OwnedBy(s.Consumer, s.Claim))
		return !atRest || d.Action == Wait && d.Reason == "" && d.Recheck == 0
	},
	"a lost mover is told of, or the wait for something else before it is short": func(s State, d Decision) bool {
		overdue := s.Mover != nil && s.Mover.DeletionTimestamp != nil &&
			s.Now.Sub(s.Mover.DeletionTimestamp.Time) >= lostPatience
		handedOver := s.Promised != nil || s.Claim.Spec.VolumeName != "" // after every mover was gone
		return !overdue || handedOver || d.Action != Wait || d.Reason != "" || d.Recheck > 0 && d.Recheck <= ProvisionPatience
	},
	"a waiting claim is explained, short-lived, or woken by a watch": func(s State, d Decision) bool {
		if d.Action != Wait || d.Reason != "" || d.Recheck > 0 {
			return true
		}
		// A deletion is no excuse: it may last for ever. Only a claim that has its volume, or
		// that itself goes and holds no mover, may be silent.
		ending := s.Mover != nil && s.Mover.DeletionTimestamp != nil && OwnedBy(s.Mover, s.Claim)
		return s.Claim.Spec.VolumeName != "" || s.Claim.DeletionTimestamp != nil && !ending
	},
}
