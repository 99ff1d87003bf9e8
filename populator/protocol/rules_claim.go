// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// binderPatience is how long the PV controller may take to follow a rebind before we
// say what might be wrong; it needs one sync, at most 15 s by default.
const binderPatience = time.Minute

// bindPatience is how long the PV controller may take between its writes of one bind
// before the condition tells of it.
const bindPatience = 5 * time.Second

// abandonDeletedClaim takes everything of ours down, mover first: a prime cannot go
// while a pod uses it. What is left has owner references to the claim.
func abandonDeletedClaim(s State) (Decision, bool) {
	if s.Claim.DeletionTimestamp == nil {
		return Decision{}, false
	}
	d := abandon(s)
	if d.Action == Wait && s.Mover != nil && s.Mover.DeletionTimestamp != nil && OwnedBy(s.Mover, s.Claim) {
		return WaitForEnd(s, s.Mover), true
	}
	return d, true
}

// abandon removes pods and a prime, and is silent when all are gone. First the volume is
// made safe against what deleting its prime means for it.
func abandon(s State) Decision {
	if d, ok := secureVolume(s); ok {
		return d
	}
	if d, ok := clearPods(s, Decision{}); ok {
		if d.Action == DeleteMover {
			d.Announce = v1alpha1.ReasonPopulationAborted
		}
		return d
	}
	if s.Prime != nil && s.Prime.DeletionTimestamp == nil && OwnedBy(s.Prime, s.Claim) {
		return Decision{Action: DeletePrime}
	}
	return Decision{Action: Wait}
}

// finishBoundClaim first tells of the success, then removes the prime, then rests: at
// rest it writes nothing.
func finishBoundClaim(s State) (Decision, bool) {
	if s.Claim.Spec.VolumeName == "" || !PopulatedFor(s.ClaimVolume, s.Claim) {
		return Decision{}, false
	}
	// The phase is the PV controller's last write: whoever writes before it makes it begin again.
	if !Bound(s.Claim) || s.Claim.Status.Phase != corev1.ClaimBound || !RefersTo(s.ClaimVolume, s.Claim) {
		return waitForBind(s), true
	}
	d := Because(corev1.ConditionTrue, v1alpha1.ReasonPopulated, populatedMessage(s))
	if c, ok := Populated(s.Claim); !ok || c.Status != corev1.ConditionTrue {
		return d.Announcing(v1alpha1.ReasonPopulationSucceeded), true
	}
	// Told already; the prime that held the numbers may be gone. One that was made too late has a
	// volume of its own, which is made safe like that of every prime.
	d = abandon(s)
	d.Announce = ""
	return d, true
}

// waitForBind is silent for as long as a bind takes.
func waitForBind(s State) Decision {
	if left := bindPatience - s.Now.Sub(rebindTime(s)); left > 0 {
		return Decision{Action: Wait, Recheck: left}
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonRebinding, "The filled volume is being bound.")
}

// leaveForeignVolume never touches a claim that was bound to a volume we did not fill,
// such as a free one that the PV controller matched: its user must know.
func leaveForeignVolume(s State) (Decision, bool) {
	if s.Claim.Spec.VolumeName == "" {
		return Decision{}, false
	}
	d := abandon(s)
	d.Announce = ""
	if c, ok := Populated(s.Claim); ok && c.Status == corev1.ConditionTrue {
		return d, true // Filled once; its volume is gone or was exchanged by an administrator.
	}
	if restored(s) {
		d.Status, d.Reason = corev1.ConditionUnknown, v1alpha1.ReasonLeftAlone
		d.Message = fmt.Sprintf(
			"The claim was created for volume %s, as a restore does. Claim and volume are left alone: nothing is loaded from "+
				"S3.",
			s.Claim.Spec.VolumeName,
		)
		return d, true
	}
	d.Status, d.Reason = corev1.ConditionFalse, v1alpha1.ReasonBoundElsewhere
	d.Message = fmt.Sprintf(
		"The claim was bound to volume %s, which was not filled from its source: another volume of the same class and "+
			"size was free, "+
			"or the provisioner ignores dataSourceRef. Nothing is loaded into it. Remove that cause and create another "+
			"claim; keep this one if its data is needed.",
		s.Claim.Spec.VolumeName,
	)
	return d, true
}

// restored tells that a bound claim came with its volume, or its volume with the claim,
// instead of being matched by the PV controller; that one marks what it matches, the volume
// too where nobody had reserved it: one that we filled for an earlier claim and that was freed
// is no restore.
func restored(s State) bool {
	if s.Claim.Annotations[v1alpha1.AnnotationBoundByController] == "" || s.Claim.Spec.Selector != nil {
		return true
	}
	v := s.ClaimVolume
	return v != nil && v.Annotations[v1alpha1.AnnotationPopulatedFor] != "" &&
		v.Annotations[v1alpha1.AnnotationBoundByController] == ""
}

// waitForBinder holds still between the rebind and the bind. It is also what keeps a
// second prime from being made after a crash there.
func waitForBinder(s State) (Decision, bool) {
	if s.Promised == nil {
		return Decision{}, false
	}
	since := rebindTime(s)
	if s.Now.Sub(since) < binderPatience {
		return Decision{Action: Wait, Recheck: binderPatience}, true
	}
	return Because(corev1.ConditionFalse, v1alpha1.ReasonRebindBlocked, fmt.Sprintf(
		"Volume %s is reserved for this claim, but the PV controller does not bind it: %s. Correct that, or delete the "+
			"claim and create it again.",
		s.Promised.Name,
		orElse(mismatch(s.Promised, s.Claim), "see `kubectl describe pv "+s.Promised.Name+"`"),
	)).Again(binderPatience), true
}

// rebindTime is when the volume was last ours alone to write: the mover's end is the
// best witness that survives a restart; a prime's creation is a safe older bound.
func rebindTime(s State) time.Time {
	if s.Prime != nil {
		return resultTime(s.Prime)
	}
	if s.Promised == nil {
		return s.Claim.CreationTimestamp.Time
	}
	return s.Promised.CreationTimestamp.Time
}

// populatedMessage carries the numbers of the mover's report, which the prime holds.
func populatedMessage(s State) string {
	if s.Prime != nil {
		if r, ok := Result(s.Prime); ok {
			return fmt.Sprintf("%s; manifest %s.", verified(r.Report), orElse(r.Report.ManifestDigest, "none"))
		}
	}
	return "The volume holds the verified data of its source."
}
