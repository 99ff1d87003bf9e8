// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/attempts"
)

const (
	// snapshotPatience is how long a snapshot may fail before the run does: its controller tries again by itself.
	snapshotPatience = 15 * time.Minute
	// answerPatience is how long nobody may answer for something temporary before that is told, and answerLimit how
	// long before the run fails: an upgrade of a driver takes minutes, and the moment to be kept is long over then.
	answerPatience = 2 * time.Minute
	answerLimit    = time.Hour
	// TemporaryPatience is how long a temporary claim may be unbound before its events are read.
	TemporaryPatience = 20 * time.Second
	// troubleEvery is how often that is done: it is a look at all events of a namespace.
	troubleEvery = time.Minute
	// mostPoll is how often an object is looked at that is not watched, when it has taken long already.
	mostPoll = 30 * time.Second
)

// poll waits a quarter of the time that was waited already.
func poll(age time.Duration) time.Duration { return min(max(age/4, soon), mostPoll) }

// endTemporaries is for a run that is over or is being deleted: its finalizer stays until all is removed.
func endTemporaries(s State) (Decision, bool) {
	if !HoldsTemporary(s.Export) || !Over(s.Export) && s.Export.DeletionTimestamp == nil {
		return Decision{}, false
	}
	return removeTemporaries(s)
}

// removeTemporaries makes the next removal; false where nothing of ours is left that was not told to go. A
// mover that still runs keeps the claim until it has ended.
//
//	ours and not going yet        action
//	the consumer                  delete it
//	the volume of the claim, if   keep it: it was there before, and may hold somebody's data
//	it was not made for it
//	the claim                     delete it
//	the snapshot                  delete it
func removeTemporaries(s State) (Decision, bool) {
	t := s.Temporary
	d := Decision{Recheck: soon}
	switch {
	case s.ownsConsumer() && t.Consumer.DeletionTimestamp == nil:
		d.Action = DeleteConsumer
	case s.ownsTemporaryClaim() && Captured(t.Volume, t.Claim) && !isKept(t.Volume):
		d.Action = KeepVolume
	case s.ownsTemporaryClaim() && t.Claim.DeletionTimestamp == nil:
		d.Action = DeleteTemporaryClaim
	case s.ownsSnapshot() && t.Snapshot.DeletionTimestamp == nil:
		d.Action = DeleteSnapshot
	default:
		return Decision{}, false
	}
	return d, true
}

// Captured tells that a claim is bound to a volume that was not made for it. Kubernetes writes
// bound-by-controller when it binds a claim to a volume that was free.
func Captured(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	if v == nil || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != claim.UID {
		return false
	}
	_, free := v.Annotations[v1alpha1.AnnotationBoundByController]
	return free || v.Annotations[v1alpha1.AnnotationProvisionedBy] == ""
}

func isKept(v *corev1.PersistentVolume) bool {
	return v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
}

// copyIsLost tells that a mover which does not run yet waits for a temporary claim that is gone.
func (s State) copyIsLost() bool {
	return Apart(s.Export) && s.Mover != nil && !attempts.Running(s.Mover) &&
		(!s.ownsTemporaryClaim() || s.Temporary.Claim.DeletionTimestamp != nil)
}

// endMoverOfLostCopy: the next one gets another claim.
func endMoverOfLostCopy(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) || !s.copyIsLost() {
		return Decision{}, false
	}
	return Decision{Action: DeleteMover, Recheck: soon}, true
}

// takeSnapshot passes when there is a snapshot that can be read, or when a claim was made of it already.
func takeSnapshot(s State) (Decision, bool) {
	t := s.Temporary
	switch {
	case s.Export.Spec.Consistency != v1alpha1.ConsistencySnapshot,
		s.ownsTemporaryClaim() && bound(t.Claim) && t.Claim.DeletionTimestamp == nil:
		return Decision{}, false
	case t.Unavailable:
		return waiting(v1alpha1.ReasonSnapshotsUnavailable, claimEvery,
			"spec.consistency: this cluster has no VolumeSnapshots (%s/v1). Install their CRDs and controller, or make an "+
				"export with consistency Clone or Live.", SnapshotGroup)
	case t.Snapshot == nil && t.Claim == nil:
		return createSnapshot(s)
	case t.Snapshot == nil:
		return startOver(s)
	case !s.ownsSnapshot():
		return waiting(v1alpha1.ReasonSnapshotRefused, waitEvery,
			"A VolumeSnapshot named %s exists that was not made for this export. Delete it; the export then goes on.",
			t.Snapshot.Name)
	case t.Snapshot.DeletionTimestamp != nil, !s.ofThisClaim(t.Snapshot.Labels):
		return startOver(s)
	case t.Snapshot.Ready:
		return Decision{}, false
	}
	return waitForSnapshot(s)
}

func createSnapshot(s State) (Decision, bool) {
	if d, ok := refuseVolume(s); ok {
		return d, true
	}
	if _, p := snapshotClassFor(s); p.reason != "" {
		return waiting(p.reason, claimEvery, "%s", p.message)
	}
	if p := claimProblem(s); p.reason != "" { // Before there is a snapshot that nothing can be made of.
		return waiting(p.reason, claimEvery, "%s", p.message)
	}
	return preparing(s, CreateSnapshot, soon)
}

// preparing says the same during all of it.
func preparing(s State, a Action, recheck time.Duration) (Decision, bool) {
	d, _ := waiting(
		v1alpha1.ReasonPreparing,
		recheck,
		"A snapshot of claim %s is taken, and a temporary claim is made of it.",
		s.Export.Spec.ClaimName,
	)
	if s.Export.Spec.Consistency == v1alpha1.ConsistencyClone {
		d.Message = "A clone of claim " + s.Export.Spec.ClaimName + " is made."
	}
	d.Action = a
	return d, true
}

// startOver removes what is of no use, and waits until it is gone.
func startOver(s State) (Decision, bool) {
	if d, ok := removeTemporaries(s); ok {
		return d, true
	}
	if d, ok := tellKept(s); ok {
		return d, true
	}
	return waiting(v1alpha1.ReasonPreparing, waitEvery,
		"%s, which was made before, is still being deleted. It is made anew when that is gone.", TemporaryName(s.Export.UID))
}

// waitForSnapshot tells an error in the words of the snapshot, and ends the run when it lasts.
func waitForSnapshot(s State) (Decision, bool) {
	t := s.Temporary.Snapshot
	age := s.Now.Sub(t.CreationTimestamp.Time)
	switch {
	case t.Error != "" && age >= snapshotPatience:
		return failing(v1alpha1.ReasonSnapshotFailed,
			"The snapshot of claim %s did not succeed: %s. The export is over; correct what is wrong and make a new one.",
			s.Export.Spec.ClaimName, trimmed(t.Error))
	case t.Error != "":
		return waiting(v1alpha1.ReasonSnapshotFailed, poll(age),
			"VolumeSnapshot %s, of claim %s: %s.", t.Name, s.Export.Spec.ClaimName, trimmed(t.Error))
	case age >= answerPatience:
		return tellUnready(s, age)
	}
	return preparing(s, Wait, poll(age))
}

// makeClaim passes when there is a bound temporary claim whose volume was made for it.
func makeClaim(s State) (Decision, bool) {
	t := s.Temporary
	switch {
	case !Apart(s.Export):
		return Decision{}, false
	case t.Claim == nil:
		return createClaim(s)
	case !s.ownsTemporaryClaim():
		return waiting(v1alpha1.ReasonTemporaryClaimRefused, waitEvery,
			"A claim named %s exists that was not made for this export. Delete it; the export then goes on.", t.Claim.Name)
	case t.Claim.DeletionTimestamp != nil, t.Claim.Status.Phase == corev1.ClaimLost, !s.ofThisClaim(t.Claim.Labels):
		return startOver(s)
	case bound(t.Claim):
		return checkVolume(s)
	}
	return waitForBound(s)
}

func createClaim(s State) (Decision, bool) {
	if d, ok := refuseVolume(s); ok {
		return d, true
	}
	if p := claimProblem(s); p.reason != "" {
		return waiting(p.reason, claimEvery, "%s", p.message)
	}
	return preparing(s, CreateTemporaryClaim, soon)
}

// checkVolume: what a volume holds that was there before is not what the claim holds.
func checkVolume(s State) (Decision, bool) {
	t := s.Temporary
	switch {
	case s.ownsConsumer() && t.Consumer.DeletionTimestamp == nil:
		return preparing(s, DeleteConsumer, soon)
	case s.ownsConsumer():
		return waitForConsumerToEnd(s)
	case unmatched(t) && s.Now.Sub(t.Claim.CreationTimestamp.Time) >= answerPatience:
		return waiting(v1alpha1.ReasonProvisioning, waitEvery,
			"Temporary claim %s is bound to volume %s, which is not there, or is bound to another claim. See `kubectl "+
				"describe pv %s`; delete the claim to have it made anew.", t.Claim.Name, t.Claim.Spec.VolumeName,
			t.Claim.Spec.VolumeName)
	case unmatched(t):
		return preparing(s, Wait, soon)
	case Captured(t.Volume, t.Claim) && !isKept(t.Volume):
		return Decision{Action: KeepVolume, Recheck: soon}, true
	case Captured(t.Volume, t.Claim):
		return failing(v1alpha1.ReasonVolumeCaptured,
			"The temporary claim was bound to volume %s, an existing free volume that was not provisioned for it. Nothing of "+
				"it was read. It is kept with the reclaim policy Retain: remove its spec.claimRef to free it, and name a class "+
				"in spec.storageClassName of a new export that has no free volumes.", t.Volume.Name)
	}
	return Decision{}, false
}

// waitForBound starts a consumer where the class waits for one.
func waitForBound(s State) (Decision, bool) {
	t := s.Temporary
	age := s.Now.Sub(t.Claim.CreationTimestamp.Time)
	if c := t.Class; c != nil && c.VolumeBindingMode != nil &&
		*c.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
		if d, ok := consume(s); ok {
			return d, true
		}
	}
	switch {
	case age < TemporaryPatience:
		return preparing(s, Wait, poll(age))
	case t.Trouble != "":
		return waiting(v1alpha1.ReasonProvisioning, troubleEvery,
			"Temporary claim %s is not bound yet: %s.", t.Claim.Name, trimmed(t.Trouble))
	}
	return waiting(v1alpha1.ReasonProvisioning, troubleEvery,
		"Temporary claim %s is not bound yet; does CSI driver %s run, with its sidecar csi-provisioner? See `kubectl "+
			"describe pvc %s`.", t.Claim.Name, driverName(s), t.Claim.Name)
}

// consume passes while a consumer has a node: it is the provisioner's turn.
func consume(s State) (Decision, bool) {
	c := s.Temporary.Consumer
	switch {
	case c == nil:
		return preparing(s, StartConsumer, soon)
	case !s.ownsConsumer():
		return waiting(v1alpha1.ReasonMoverRefused, waitEvery,
			"A pod named %s exists that was not made for this export. Delete it; the export then goes on.", c.Name)
	case c.DeletionTimestamp != nil:
		return waitForConsumerToEnd(s)
	case attempts.Ended(c) && s.Now.Sub(c.CreationTimestamp.Time) >= endPatience:
		return preparing(s, DeleteConsumer, soon) // In vain: without a bound claim it cannot have run.
	case c.Spec.NodeName == "" && s.Now.Sub(c.CreationTimestamp.Time) >= moverPatience && moverpod.Waiting(c) != "" &&
		s.Temporary.Claim.Annotations[v1alpha1.AnnotationSelectedNode] == "":
		return waiting(v1alpha1.ReasonMoverPending, UsersEvery,
			"Pod %s, which has the temporary claim bound, cannot start yet: %s", c.Name, moverpod.PendingReason(c, ""))
	}
	return Decision{}, false
}
