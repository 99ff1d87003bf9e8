// SPDX-License-Identifier: Apache-2.0

package populator

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
func abandonDeletedClaim(s state) (decision, bool) {
	if s.Claim.DeletionTimestamp == nil {
		return decision{}, false
	}
	return abandon(s), true
}

// abandon removes a mover and a prime, and is silent when both are gone.
func abandon(s state) decision {
	switch {
	case s.Mover != nil && s.Mover.DeletionTimestamp == nil && ownedBy(s.Mover, s.Claim):
		return decision{Action: deleteMover, Announce: v1alpha1.ReasonPopulationAborted}
	case s.Prime != nil && s.Prime.DeletionTimestamp == nil && ownedBy(s.Prime, s.Claim):
		return decision{Action: deletePrime}
	}
	return decision{Action: wait}
}

// finishBoundClaim first tells of the success, then removes the prime, then rests: at
// rest it writes nothing.
func finishBoundClaim(s state) (decision, bool) {
	if s.Claim.Spec.VolumeName == "" || !populatedFor(s.ClaimVolume, s.Claim) {
		return decision{}, false
	}
	// The phase is the PV controller's last write: whoever writes before it makes it begin again.
	if !bound(s.Claim) || s.Claim.Status.Phase != corev1.ClaimBound || !refersTo(s.ClaimVolume, s.Claim) {
		return waitForBind(s), true
	}
	d := because(corev1.ConditionTrue, v1alpha1.ReasonPopulated, populatedMessage(s))
	if c, ok := populated(s.Claim); !ok || c.Status != corev1.ConditionTrue {
		return d.announcing(v1alpha1.ReasonPopulationSucceeded), true
	}
	d = decision{Action: wait} // Told already; the prime that held the numbers may be gone.
	if s.Prime != nil && s.Prime.DeletionTimestamp == nil && ownedBy(s.Prime, s.Claim) {
		return d.then(deletePrime), true
	}
	return d, true
}

// waitForBind is silent for as long as a bind takes.
func waitForBind(s state) decision {
	if left := bindPatience - s.Now.Sub(rebindTime(s)); left > 0 {
		return decision{Action: wait, Recheck: left}
	}
	return because(corev1.ConditionUnknown, v1alpha1.ReasonRebinding, "The filled volume is being bound.")
}

// leaveForeignVolume never touches a claim that was bound to a volume we did not fill,
// such as a free one that the PV controller matched: its user must know.
func leaveForeignVolume(s state) (decision, bool) {
	if s.Claim.Spec.VolumeName == "" {
		return decision{}, false
	}
	d := abandon(s)
	d.Announce = ""
	if c, ok := populated(s.Claim); ok && c.Status == corev1.ConditionTrue {
		return d, true // Filled once; its volume is gone or was exchanged by an administrator.
	}
	d.Status, d.Reason = corev1.ConditionFalse, v1alpha1.ReasonBoundElsewhere
	d.Message = fmt.Sprintf("The claim was bound to volume %s, which was not filled from its source: another volume of the same class and size was free, "+
		"or spec.volumeName was set, or the provisioner ignores dataSourceRef. Delete the claim and remove that cause, then create it again.", s.Claim.Spec.VolumeName)
	return d, true
}

// waitForBinder holds still between the rebind and the bind. It is also what keeps a
// second prime from being made after a crash there.
func waitForBinder(s state) (decision, bool) {
	if s.Promised == nil {
		return decision{}, false
	}
	since := rebindTime(s)
	if s.Now.Sub(since) < binderPatience {
		return decision{Action: wait, Recheck: binderPatience}, true
	}
	return because(corev1.ConditionFalse, v1alpha1.ReasonRebindBlocked, fmt.Sprintf(
		"Volume %s is reserved for this claim, but the PV controller does not bind it: %s. Correct that, or delete the claim.",
		s.Promised.Name, orElse(mismatch(s.Promised, s.Claim), "look at `kubectl describe pv "+s.Promised.Name+"`"))).again(binderPatience), true
}

// rebindTime is when the volume was last ours alone to write: the mover's end is the
// best witness that survives a restart; a prime's creation is a safe older bound.
func rebindTime(s state) time.Time {
	if s.Prime != nil {
		return resultTime(s.Prime)
	}
	if s.Promised == nil {
		return s.Claim.CreationTimestamp.Time
	}
	return s.Promised.CreationTimestamp.Time
}

// populatedMessage carries the numbers of the mover's report, which the prime holds.
func populatedMessage(s state) string {
	if s.Prime != nil {
		if r, ok := result(s.Prime); ok {
			return fmt.Sprintf("%d objects, %s, verified; manifest %s.", r.Report.Objects, size(r.Report.Bytes), orElse(r.Report.ManifestDigest, "none"))
		}
	}
	return "The volume holds the verified data of its source."
}
