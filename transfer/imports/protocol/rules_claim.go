// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// claimEvery is how often a claim or a source is looked at whose changes wake its imports anyway.
const claimEvery = time.Minute

// freeClaim removes a mover that has ended and was counted, also where it would stay for its logs: its pod
// would keep a claim that is being deleted.
func freeClaim(s State) (Decision, bool) {
	if !s.claimGoes() || !s.ours() || s.Mover.DeletionTimestamp != nil || !attempts.Ended(s.Mover) ||
		s.Import.Status.EndedMover != string(s.Mover.UID) {
		return Decision{}, false
	}
	return Decision{Action: DeleteMover}, true
}

// leaveGoingClaim ends a mover whose claim is being deleted: nobody will read what it loads, and the claim waits for
// its pod.
func leaveGoingClaim(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) || !s.claimGoes() {
		return Decision{}, false
	}
	d, _ := waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
		"Claim %s is being deleted, and pod %s is ended for it.", s.Claim.Name, s.Mover.Name)
	d.Action = DeleteMover
	return d, true
}

// leaveOtherClaim ends a mover whose claim is gone: a pod mounts by name, and until it has a node nothing keeps
// the claim that it was made for. It must not write to another one of that name.
func leaveOtherClaim(s State) (Decision, bool) {
	if !attempts.Active(s.Mover) || !s.otherClaim() {
		return Decision{}, false
	}
	d, _ := waiting(v1alpha1.ReasonClaimReplaced, soon,
		"The claim %s that pod %s was made for is gone, and the pod is ended.", s.Import.Spec.ClaimName, s.Mover.Name)
	d.Action = DeleteMover
	return d, true
}

// otherClaim tells that the mover was made for another claim than there is now.
func (s State) otherClaim() bool {
	return s.Mover != nil &&
		(s.Claim == nil || s.Mover.Annotations[v1alpha1.AnnotationClaimUID] != string(s.Claim.UID))
}

func (s State) claimGoes() bool { return s.Claim != nil && s.Claim.DeletionTimestamp != nil }

// refuseClaimOfOurs: the volume of a prime becomes another claim's, that of an export claim goes back to one, and a
// temporary one goes.
func refuseClaimOfOurs(s State) (Decision, bool) {
	if s.Claim == nil {
		return Decision{}, false
	}
	switch s.Claim.Labels[v1alpha1.LabelRole] {
	case v1alpha1.RolePrime:
		return failing(v1alpha1.ReasonUnsupportedClaim,
			"Claim %s is one that S3 volume populator fills for another claim. Import into that one, when it is Bound.",
			s.Claim.Name)
	case v1alpha1.RoleTemporary:
		return failing(v1alpha1.ReasonUnsupportedClaim,
			"Claim %s is a temporary one that an export reads, and is deleted with that. Import into the claim that is "+
				"exported.",
			s.Claim.Name)
	case v1alpha1.RoleFinalExport:
		return failing(v1alpha1.ReasonUnsupportedClaim,
			"Claim %s holds the volume of a claim that is exported before it is deleted. Nothing may write to it any more.",
			s.Claim.Name)
	}
	return Decision{}, false
}

// waitForClaim: a claim may come, and one that is being filled becomes Bound when it is complete.
func waitForClaim(s State) (Decision, bool) {
	name := s.Import.Spec.ClaimName
	switch {
	case s.Claim == nil && begun(s.Import):
		return failing(v1alpha1.ReasonClaimReplaced, "Claim %s was deleted before everything was loaded.", name)
	case s.Claim == nil && young(s):
		return Decision{Action: Wait, Recheck: soon}, true
	case s.Claim == nil:
		return waiting(v1alpha1.ReasonClaimNotFound, claimEvery,
			"There is no claim %s in this namespace. Create it, or delete this import and make one that names another.", name)
	case replaced(s.Import, s.Claim):
		return failing(v1alpha1.ReasonClaimReplaced,
			"Claim %s is another one than the import was made for. Make a new S3Import for it.", name)
	case s.claimGoes():
		return waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
			"Claim %s is being deleted, and no pod can use it any more.", name)
	case s.Claim.Status.Phase != corev1.ClaimBound && !blockMode(s.Claim):
		return waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
			"Claim %s is %s. The import starts when it is Bound.", name, phaseOf(s.Claim))
	}
	return Decision{}, false
}

// replaced tells that a run has begun with another claim, or that a token of another claim asked for it.
func replaced(i *v1alpha1.S3Import, claim *corev1.PersistentVolumeClaim) bool {
	if uid := i.Labels[v1alpha1.LabelClaimUID]; uid != "" && uid != string(claim.UID) {
		return true
	}
	return begun(i) && i.Status.ClaimUID != "" && i.Status.ClaimUID != string(claim.UID)
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
	switch {
	case blockMode(s.Claim):
		return failing(v1alpha1.ReasonUnsupportedClaim,
			"Claim %s has volumeMode Block, which has no files. Only volumes with volumeMode Filesystem can be imported into.",
			s.Claim.Name)
	case len(s.Claim.Spec.AccessModes) > 0 && !slices.ContainsFunc(s.Claim.Spec.AccessModes,
		func(m corev1.PersistentVolumeAccessMode) bool { return m != corev1.ReadOnlyMany }):
		return failing(v1alpha1.ReasonUnsupportedClaim,
			"Claim %s has the access mode ReadOnlyMany only: nothing can be written to it. Make a new claim that is filled "+
				"from the source.", s.Claim.Name)
	}
	return Decision{}, false
}

// waitForSource: a source may come.
func waitForSource(s State) (Decision, bool) {
	if s.Source != nil {
		return Decision{}, false
	}
	if young(s) {
		return Decision{Action: Wait, Recheck: soon}, true
	}
	if s.Unresolved {
		return waiting(v1alpha1.ReasonExportNotFound, claimEvery,
			"S3Source %s names an S3Export by spec.fromExport that is not there or not complete. Its condition Ready says why.",
			s.Import.Spec.SourceName)
	}
	return waiting(v1alpha1.ReasonSourceNotFound, claimEvery,
		"There is no S3Source %s in this namespace. Create it, or delete this import and make one that names another.",
		s.Import.Spec.SourceName)
}

// young imports are given the time that one `kubectl apply` of many files takes, and our caches: what they name may
// come a moment after them, and is not worth a warning.
func young(s State) bool {
	const settle = 3 * time.Second
	age := s.Now.Sub(s.Import.CreationTimestamp.Time)
	return len(s.Import.Status.Conditions) == 0 && age < settle && age > -settle // A clock may be behind.
}

// refuseSource: what the import names has to be a part of what the source selects, and to be fetched by ourselves.
func refuseSource(s State) (Decision, bool) {
	if s.Source.Spec.Transfer.Engine == wire.EngineMC {
		return failing(
			v1alpha1.ReasonUnsupportedSource,
			"S3Source %s has transfer.engine MC, which takes a volume for itself "+
				"and cannot load into one in use. Set it to Auto or Native, and make a new S3Import.",
			s.Source.Name,
		)
	}
	if s.Source.Spec.RestoreAttributes {
		return failing(
			v1alpha1.ReasonUnsupportedSource,
			"S3Source %s has restoreAttributes, which only a volume that is filled "+
				"can be given. Make a source without it, and a new S3Import that names that.",
			s.Source.Name,
		)
	}
	if _, err := Select(s.Import.Spec, s.Source.Spec); err != nil {
		return failing(v1alpha1.ReasonInvalidSelection, "%s.", trimmed(err.Error()))
	}
	return Decision{}, false
}

// waitForRetry lets what was told of the last mover stand until the next one is due.
func waitForRetry(s State) (Decision, bool) {
	next := s.Import.Status.NextAttemptTime
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

// waitForOthers: imports into one claim take turns, and a claim for one pod is not shared.
func waitForOthers(s State) (Decision, bool) {
	switch {
	case s.Busy != nil:
		return waitForMoverOfAnother(s)
	case s.Ahead != "":
		return waiting(v1alpha1.ReasonClaimImporting, waitEvery,
			"S3Import %s loads into claim %s and comes first. Wait for it, or delete it.", s.Ahead, s.Claim.Name)
	case claimusers.Wanted(s.Claim, s.Users):
		return waiting(v1alpha1.ReasonClaimInUse, waitEvery,
			"Pod %s uses claim %s, which has the access mode ReadWriteOncePod: no other pod can write it. "+
				"The import starts when that pod has ended.", claimusers.Others(s.Users)[0].Name, s.Claim.Name)
	}
	return Decision{}, false
}

// waitForMoverOfAnother: where its node does not answer, that mover may still write, and nobody but a person knows.
// Its import may be gone, and cannot say so itself.
func waitForMoverOfAnother(s State) (Decision, bool) {
	p := s.Busy
	of := p.Annotations[v1alpha1.AnnotationImport]
	switch {
	case p.DeletionTimestamp == nil:
		return waiting(v1alpha1.ReasonClaimImporting, waitEvery,
			"Pod %s of S3Import %s loads into claim %s and comes first. Wait for it, or delete that import.",
			p.Name, of, s.Claim.Name)
	case s.Now.Sub(p.DeletionTimestamp.Time) < endPatience:
		return waiting(v1alpha1.ReasonClaimImporting, waitEvery,
			"Pod %s of S3Import %s, which loads into claim %s, is ending.", p.Name, of, s.Claim.Name)
	}
	return waiting(v1alpha1.ReasonMoverLost, waitEvery,
		"Pod %s of S3Import %s, on node %s, was told to end at %s UTC and is still there; it may still write to claim %s. "+
			"If the node is off for good, tell Kubernetes: "+
			"kubectl taint nodes %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; this import then goes on.",
		p.Name, of, p.Spec.NodeName, p.DeletionTimestamp.UTC().Format(time.DateTime), s.Claim.Name, p.Spec.NodeName)
}

// waitForUser: a mover of a user that nobody chose could write nothing, or files that nobody can read.
func waitForUser(s State, defaults moverpod.Defaults) (Decision, bool) {
	if _, known := securityFor(s, defaults); known {
		return Decision{}, false
	}
	return waiting(v1alpha1.ReasonUserUnknown, waitEvery,
		"Neither the spec nor the status of pod %s tells as which user it uses claim %s. Set securityContext.runAsUser of "+
			"that pod, or spec.mover.podSecurityContext.runAsUser of this import.",
		claimusers.Others(s.Users)[0].Name, s.Claim.Name)
}

// queueQuiet is how long an import may wait for its turn before its condition says so.
const queueQuiet = 5 * time.Second

func waitForPlace(s State) (Decision, bool) {
	if s.Queued == nil {
		return Decision{}, false
	}
	if left := queueQuiet - s.Queued.Waited; left > 0 {
		return Decision{Action: Wait, Recheck: min(left, s.Queued.Recheck())}, true
	}
	return waiting(v1alpha1.ReasonQueued, s.Queued.Recheck(),
		"The objects are loaded when there is a place for a mover: %s", s.Queued.String())
}

// refusalDelay is how often a pod is tried again that a quota or a policy refused.
const refusalDelay = 30 * time.Second

// Refused tells of a pod that the API server did not take, or took another one for.
func Refused(reason v1alpha1.Reason, message string) Decision {
	d, _ := waiting(reason, refusalDelay, "%s It is tried again every %s.", message, refusalDelay)
	return d
}
