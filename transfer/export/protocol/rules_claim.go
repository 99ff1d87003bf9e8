// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// claimEvery is how often a claim is looked at whose changes wake its exports anyway.
const claimEvery = time.Minute

// refusePrime: a prime is filled for another claim, and its volume becomes that claim's.
func refusePrime(s State) (Decision, bool) {
	if s.Claim == nil {
		return Decision{}, false
	}
	if _, temporary := IsTemporary(s.Claim.Labels); temporary {
		return failing(v1alpha1.ReasonUnsupportedClaim,
			"Claim %s is one that S3 volume populator reads another export from. Export the claim that it is a copy of.",
			s.Claim.Name)
	}
	if s.Claim.Labels[v1alpha1.LabelRole] != v1alpha1.RolePrime {
		return Decision{}, false
	}
	return failing(v1alpha1.ReasonUnsupportedClaim,
		"Claim %s is one that S3 volume populator fills for another claim. Export that one, when it is Bound.", s.Claim.Name)
}

// waitForClaim: a claim may come, and one that is being filled becomes Bound when it is complete.
func waitForClaim(s State) (Decision, bool) {
	name := s.Export.Spec.ClaimName
	switch {
	case !begun(s.Export) && madeForAnother(s.Export, s.Claim):
		return failing(v1alpha1.ReasonClaimReplaced,
			"The label %s says that the export was made for the claim %s with the UID %s, which is not there any more. Make a "+
				"new S3Export; a copy of this one exports any claim of the name only without that label.",
			v1alpha1.LabelClaimUID, name, ownClaim(s.Export))
	case s.Claim == nil && ofOneClaim(s.Export):
		return failing(v1alpha1.ReasonClaimReplaced,
			"Claim %s was deleted before all of it was exported. What was sent stays, without a manifest.", name)
	case s.Claim == nil:
		return waiting(v1alpha1.ReasonClaimNotFound, claimEvery,
			"There is no claim %s in this namespace. Create it, or delete this export and make one that names another.", name)
	case replaced(s.Export, s.Claim):
		return failing(v1alpha1.ReasonClaimReplaced,
			"Claim %s is another one than when the export began. Make a new S3Export for it.", name)
	case s.Claim.DeletionTimestamp != nil && s.Claim.Labels[v1alpha1.LabelRole] != v1alpha1.RoleFinalExport:
		// Nobody can take that back. A run that waited would hold the claim, and its last export, for ever.
		return failing(v1alpha1.ReasonClaimReplaced,
			"Claim %s is being deleted, and no pod can use it any more. What was sent stays, without a manifest.", name)
	case s.Claim.DeletionTimestamp != nil:
		return waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
			"Claim %s is being deleted, and no pod can use it any more.", name)
	case s.Claim.Status.Phase != corev1.ClaimBound && !blockMode(s.Claim):
		return waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
			"Claim %s is %s. The export starts when it is Bound.", name, phaseOf(s.Claim))
	}
	return Decision{}, false
}

// freeClaim removes a mover that has ended and was counted, also where it would stay for its logs: its pod
// would keep a claim that is being deleted.
func freeClaim(s State) (Decision, bool) {
	if !s.claimGoes() && !s.copyGoes() || s.Mover == nil || !OwnedBy(s.Mover, s.Export) ||
		s.Mover.DeletionTimestamp != nil || !attempts.Ended(s.Mover) || s.Export.Status.EndedMover != string(s.Mover.UID) {
		return Decision{}, false
	}
	return Decision{Action: DeleteMover}, true
}

// copyGoes tells that the temporary claim of a run that is over, or suspended, waits for the pods that name it.
func (s State) copyGoes() bool {
	return (Over(s.Export) || s.Export.Spec.Suspend) && s.ownsTemporaryClaim() &&
		s.Temporary.Claim.DeletionTimestamp != nil
}

// endStuckMover ends a mover that does not run: without its image, say, it would keep the claim for ever. One
// that runs goes on to its end.
func endStuckMover(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) || !s.stuck() || s.Now.Sub(s.Mover.CreationTimestamp.Time) < moverPatience {
		return Decision{}, false
	}
	d, _ := waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
		"Claim %s is being deleted, and pod %s, which has not started, is ended for it.", s.Claim.Name, s.Mover.Name)
	d.Action = DeleteMover
	return d, true
}

// claimGoes tells that the claim is being deleted which the mover reads.
func (s State) claimGoes() bool {
	return s.Claim != nil && s.Claim.DeletionTimestamp != nil && !Apart(s.Export)
}

// stuck tells that the mover does not run, and keeps a claim that is being deleted.
func (s State) stuck() bool { return s.claimGoes() && !s.runs() }

// ofOneClaim tells that an export waits for no other claim when its own is gone.
func ofOneClaim(e *v1alpha1.S3Export) bool {
	return begun(e) || Apart(e) && Guarded(e)
}

// madeForAnother tells that an export was made for another claim than there is, or for one that is gone.
func madeForAnother(e *v1alpha1.S3Export, claim *corev1.PersistentVolumeClaim) bool {
	uid := ownClaim(e)
	return uid != "" && (claim == nil || uid != string(claim.UID))
}

// ownClaim is the UID of the claim that a policy, or an annotation of the claim, has made an export for: the files of
// another one would count as its own. Empty where any of the name will do, as before a deletion: an export claim has
// the volume then, and may be made anew.
func ownClaim(e *v1alpha1.S3Export) string {
	if BeforeDeletion(e) {
		return ""
	}
	return e.Labels[v1alpha1.LabelClaimUID]
}

func replaced(e *v1alpha1.S3Export, claim *corev1.PersistentVolumeClaim) bool {
	return madeForAnother(e, claim) || begun(e) && e.Status.ClaimUID != "" && e.Status.ClaimUID != string(claim.UID)
}

func phaseOf(claim *corev1.PersistentVolumeClaim) string {
	if claim.Status.Phase == "" {
		return string(corev1.ClaimPending)
	}
	return string(claim.Status.Phase)
}

func blockMode(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock
}

func refuseClaim(s State) (Decision, bool) {
	if !blockMode(s.Claim) {
		return Decision{}, false
	}
	return failing(v1alpha1.ReasonUnsupportedClaim,
		"Claim %s has volumeMode Block, which has no files. Only volumes with volumeMode Filesystem can be exported.",
		s.Claim.Name)
}

func refusePrefix(s State) (Decision, bool) {
	if s.PrefixError == nil {
		return Decision{}, false
	}
	return failing(
		v1alpha1.ReasonInvalidPrefix,
		"spec.destination.prefix: %s.",
		strings.TrimSuffix(s.PrefixError.Error(), "."),
	)
}

// waitForRetry lets what was told of the last mover stand until the next one is due.
func waitForRetry(s State) (Decision, bool) {
	next := s.Export.Status.NextAttemptTime
	if next == nil || !s.Now.Before(next.Time) {
		return Decision{}, false
	}
	return Decision{Action: Wait, Recheck: next.Sub(s.Now)}, true
}

// removeEndedMover: the next one has its name.
func removeEndedMover(s State) (Decision, bool) {
	if s.Mover == nil {
		return Decision{}, false
	}
	return Decision{Action: DeleteMover}, true
}

// waitForOthers: two runs below one prefix would each spoil the manifest of the other.
func waitForOthers(s State) (Decision, bool) {
	switch {
	case s.Ahead != nil && Over(s.Ahead):
		return waiting(v1alpha1.ReasonDestinationInUse, waitEvery,
			"S3Export %s has the same destination and is over, but has not removed yet what it made, or its uploads.%s Wait "+
				"for that, or export to a prefix with {{.Run}}.", s.Ahead.Name, tellRemains(s.Ahead))
	case s.Ahead != nil:
		return waiting(v1alpha1.ReasonDestinationInUse, waitEvery,
			"S3Export %s has the same destination and comes first. Wait for it, delete it, or export to a prefix with {{.Run}}.",
			s.Ahead.Name)
	case s.wanted():
		return waiting(v1alpha1.ReasonClaimInUse, waitEvery,
			"Pod %s uses claim %s, which has the access mode ReadWriteOncePod: no other pod can read it. "+
				"The export starts when that pod has ended. One with spec.consistency: Snapshot or Clone need not wait for it.",
			claimusers.Others(s.Users)[0].Name, s.Claim.Name)
	}
	return Decision{}, false
}

// waitForUser: a mover of a user that nobody chose could read nothing, or too much.
func waitForUser(s State, defaults moverpod.Defaults) (Decision, bool) {
	if _, known := securityFor(s, defaults); known {
		return Decision{}, false
	}
	return waiting(
		v1alpha1.ReasonUserUnknown,
		waitEvery,
		"Neither the spec nor the status of pod %s tells as which user it uses claim %s. Set securityContext.runAsUser of "+
			"that pod, or spec.mover.podSecurityContext.runAsUser of this export.",
		claimusers.Others(s.Users)[0].Name,
		s.Claim.Name,
	)
}

// guard: what may leave uploads is written down before it begins.
func guard(s State) (Decision, bool) {
	if s.Export.Spec.DryRun && !Apart(s.Export) || Guarded(s.Export) {
		return Decision{}, false
	}
	return Decision{Action: AddFinalizer, Recheck: soon}, true
}

// queueQuiet is how long an export may wait for its turn before its condition says so.
const queueQuiet = 5 * time.Second

func waitForPlace(s State) (Decision, bool) {
	if s.Queued == nil {
		return Decision{}, false
	}
	if left := queueQuiet - s.Queued.Waited; left > 0 {
		return Decision{Action: Wait, Recheck: min(left, s.Queued.Recheck())}, true
	}
	return waiting(v1alpha1.ReasonQueued, s.Queued.Recheck(),
		"The volume is exported when there is a place for a mover: %s", s.Queued.String())
}

// Refused tells of a pod that the API server did not take, or took another one for.
func Refused(reason v1alpha1.Reason, message string) Decision {
	d, _ := waiting(reason, refusalDelay, "%s It is tried again every %s.", message, refusalDelay)
	return d
}

// StillRefused waits as after a refusal, of which the status tells.
func StillRefused() Decision { return Decision{Action: Wait, Recheck: refusalDelay} }

// OutOfTurn waits while another run of the namespace begins, or may have begun.
func OutOfTurn(again time.Duration) Decision {
	d, _ := waiting(v1alpha1.ReasonDestinationInUse, again,
		"Another S3Export of this namespace is being started, or the API server has not answered whether it is. Whether it "+
			"has the same destination is looked at after that.")
	return d
}

// refusalDelay is how often a pod is tried again that a quota or a policy refused.
const refusalDelay = 30 * time.Second
