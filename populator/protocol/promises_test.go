// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// promises hold for every decision in every world.
var promises = map[string]func(State, Decision) bool{
	"a decision has an action": func(_ State, d Decision) bool { return d.Action != "" },
	"a reason has a status":    func(_ State, d Decision) bool { return (d.Reason == "") == (d.Status == "") },
	"a volume is rebound only if complete, unmounted, alive, fitting, the prime's": func(s State, d Decision) bool {
		return d.Action != Rebind ||
			marked(s.Prime) && usable(s) && fits(s.PrimeVolume, s.Claim) && s.Mover == nil && wantsVolume(s)
	},
	"what is complete and fits is rebound": func(s State, d Decision) bool {
		ready := marked(s.Prime) && usable(s) && fits(s.PrimeVolume, s.Claim) && wantsVolume(s) &&
			s.Mover == nil && s.Consumer == nil && !editedAfter(s)
		return !ready || d.Action == Rebind
	},
	"a report of success is kept": func(s State, d Decision) bool {
		ready := !marked(s.Prime) && usable(s) && wantsVolume(s) && s.Consumer == nil && !editedAfter(s) && !foundFull(s) &&
			podFor(s.Mover, s.Claim) && s.Mover.DeletionTimestamp == nil && succeeded(s.Mover) && filling(s.Mover, s.Prime)
		return !ready || d.Action == MarkPopulated
	},
	"a claim is told to be complete if and only if it is bound to what was filled for it": func(s State, d Decision) bool {
		complete := fullyBound(s.Claim) && s.Claim.Status.Phase == "Bound" && filledFor(s.ClaimVolume, s.Claim) &&
			reservedFor(s.ClaimVolume, s.Claim)
		due := complete && s.Claim.DeletionTimestamp == nil && !saidComplete(s.Claim)
		return (d.Status != "True" || complete) && (!due || d.Status == "True")
	},
	"a claim that is bound to what was filled for it is not told otherwise": func(s State, d Decision) bool {
		return !filledFor(s.ClaimVolume, s.Claim) || d.Reason != "BoundElsewhere" && d.Reason != "LeftAlone"
	},
	"a prime is marked populated only by a report of success": func(s State, d Decision) bool {
		return d.Action != MarkPopulated || podFor(s.Mover, s.Claim) && succeeded(s.Mover) && filling(s.Mover, s.Prime) &&
			usable(s) && wantsVolume(s)
	},
	"a result whose request is not the newest is never accepted or rebound": func(s State, d Decision) bool {
		return d.Action != MarkPopulated && d.Action != Rebind || !editedAfter(s)
	},
	"a mover whose request is not the newest is ended or on its way out": func(s State, d Decision) bool {
		runs := podFor(s.Mover, s.Claim) && s.Mover.DeletionTimestamp == nil
		return !editedAfter(s) || !runs || d.Reason != "Populating" && d.Reason != "MoverPending"
	},
	"a prime is replaced only for another request or size, or what nobody can prove, and without a mover": func(
		s State, d Decision,
	) bool {
		return d.Action != ReplacePrime ||
			s.Mover == nil && madeFor(s.Prime, s.Claim) && s.Prime.DeletionTimestamp == nil && wantsVolume(s) &&
				(editedAfter(s) || s.Claim.Annotations[ours+"next-prime"] != "" || begunAndRefused(s))
	},
	"a prime grows only where its user allows that": func(s State, d Decision) bool {
		return d.Action != RememberSize || s.Source.Spec.Sizing.OnTooSmall == "Grow"
	},
	"a mover that is placed in another way is ended only while it is pending": func(s State, d Decision) bool {
		return d.Action != RecordEdit || editedAfter(s) || s.Mover.Status.Phase == corev1.PodPending
	},
	"a filled prime is never filled again": func(s State, d Decision) bool {
		return d.Action != StartMover || !marked(s.Prime)
	},
	"a mover starts only on a live prime of ours without another mover": func(s State, d Decision) bool {
		return d.Action != StartMover ||
			s.Mover == nil && s.Source != nil && madeFor(s.Prime, s.Claim) && s.Prime.DeletionTimestamp == nil && wantsVolume(s)
	},
	"no pod that can write starts on an unbound or unchecked volume": func(s State, d Decision) bool {
		return d.Action != StartMover ||
			fullyBound(s.Prime) && reservedFor(s.PrimeVolume, s.Prime) && s.PrimeVolume.DeletionTimestamp == nil &&
				!freeBefore(s.PrimeVolume) && (worthless(s.PrimeVolume, s.Claim) || foundFull(s) && outlives(s.PrimeVolume))
	},
	"no mover starts beside a consumer or an attachment": func(s State, d Decision) bool {
		return d.Action != StartMover || len(s.Attachments) == 0 && !podFor(s.Consumer, s.Claim)
	},
	"a consumer starts only on a live, unbound prime of ours": func(s State, d Decision) bool {
		return d.Action != StartConsumer ||
			s.Consumer == nil && madeFor(s.Prime, s.Claim) && !fullyBound(s.Prime) && s.Prime.DeletionTimestamp == nil &&
				wantsVolume(s)
	},
	"a volume that is not ours is only released, and only while it is the prime's": func(s State, d Decision) bool {
		if d.Action == ReleaseVolume {
			return freeBefore(s.PrimeVolume) && reservedFor(s.PrimeVolume, s.Prime) && madeFor(s.Prime, s.Claim)
		}
		return s.PrimeVolume == nil || !freeBefore(s.PrimeVolume) ||
			d.Action != MarkScratch && d.Action != StartMover && d.Action != Rebind && d.Action != MarkPopulated
	},
	"a volume that held something is never filled, nor given to a deleter": func(s State, d Decision) bool {
		if !foundFull(s) {
			return true
		}
		asked := editedAfter(s) || foundFullOnce(s) // Somebody may have emptied it.
		switch d.Action {
		case DeletePrime, ReplacePrime:
			return s.PrimeVolume == nil || !reservedFor(s.PrimeVolume, s.Prime) || s.PrimeVolume.DeletionTimestamp != nil ||
				goesBack(s.PrimeVolume, s.Claim) || outlives(s.PrimeVolume)
		case StartMover:
			return asked && outlives(s.PrimeVolume)
		case MarkScratch:
			return false
		default:
			return true
		}
	},
	"a prime goes only when its volume is known to be ours, or is released": func(s State, d Decision) bool {
		return d.Action != DeletePrime && d.Action != ReplacePrime || s.PrimeVolume == nil ||
			!reservedFor(s.PrimeVolume, s.Prime) ||
			s.PrimeVolume.DeletionTimestamp != nil ||
			worthless(s.PrimeVolume, s.Claim) ||
			goesBack(s.PrimeVolume, s.Claim) ||
			foundFull(s) && outlives(s.PrimeVolume)
	},
	"the next prime is thought of before a captured one goes": func(s State, d Decision) bool {
		return d.Action != DeletePrime || s.Claim.DeletionTimestamp != nil || s.Claim.Spec.VolumeName != "" ||
			s.PrimeVolume == nil || knowsNext(s)
	},
	"a prime is made only for a live, unbound claim without a promised volume": func(s State, d Decision) bool {
		return d.Action != CreatePrime || s.Prime == nil && wantsVolume(s)
	},
	"a prime goes only when the claim is bound or goes, or the volume is gone or freed": func(s State, d Decision) bool {
		return d.Action != DeletePrime || s.Claim.DeletionTimestamp != nil || s.Claim.Spec.VolumeName != "" ||
			s.PrimeVolume == nil || goesBack(s.PrimeVolume, s.Claim)
	},
	"a prime goes only after its mover": func(s State, d Decision) bool {
		return d.Action != DeletePrime || !podFor(s.Mover, s.Claim) || s.Mover.DeletionTimestamp != nil
	},
	"only what is ours is deleted": func(s State, d Decision) bool {
		switch d.Action {
		case DeletePrime:
			return madeFor(s.Prime, s.Claim)
		case DeleteMover:
			return madeFor(s.Mover, s.Claim)
		case DeleteConsumer:
			return madeFor(s.Consumer, s.Claim)
		default:
			return true
		}
	},
	"only a volume of the prime is written": func(s State, d Decision) bool {
		writes := d.Action == MarkScratch || d.Action == KeepVolume || d.Action == ReleaseVolume
		return !writes || reservedFor(s.PrimeVolume, s.Prime) && madeFor(s.Prime, s.Claim)
	},
	"a deleted claim only loses things, after their volume is safe": func(s State, d Decision) bool {
		return s.Claim.DeletionTimestamp == nil ||
			slices.Contains(
				[]Action{DeleteMover, DeleteConsumer, DeletePrime, MarkScratch, ReleaseVolume, KeepVolume, Wait},
				d.Action,
			)
	},
	"a claim at rest is left alone": func(s State, d Decision) bool {
		atRest := fullyBound(s.Claim) && filledFor(s.ClaimVolume, s.Claim) && saidComplete(s.Claim) &&
			s.Prime == nil &&
			s.Claim.DeletionTimestamp == nil &&
			!podFor(s.Mover, s.Claim) && !podFor(s.Consumer, s.Claim)
		return !atRest || d.Action == Wait && d.Reason == "" && d.Recheck == 0
	},
	"a lost mover is told of, or the wait for something else before it is short": func(s State, d Decision) bool {
		overdue := s.Mover != nil && s.Mover.DeletionTimestamp != nil &&
			s.Now.Sub(s.Mover.DeletionTimestamp.Time) >= lostAfter
		handedOver := s.Promised != nil || s.Claim.Spec.VolumeName != "" // after every mover was gone
		short := d.Recheck > 0 && d.Recheck <= provisioningFor
		return !overdue || handedOver || d.Action != Wait || d.Reason != "" || short
	},
	"a waiting claim is explained, short-lived, or woken by a watch": func(s State, d Decision) bool {
		if d.Action != Wait || d.Reason != "" || d.Recheck > 0 {
			return true
		}
		// A deletion is no excuse: it may last for ever. Only a claim that has its volume, or
		// that itself goes and holds no mover, may be silent.
		ending := podFor(s.Mover, s.Claim) && s.Mover.DeletionTimestamp != nil
		return s.Claim.Spec.VolumeName != "" || s.Claim.DeletionTimestamp != nil && !ending
	},
}
