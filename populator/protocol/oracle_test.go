// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is true of a world, as docs/design and the documentation of Kubernetes define it. The
// promises rest on these alone: no predicate, constant or type of the rules is used here, so
// that a rule with a wrong predicate is not judged by the same predicate.

const (
	ours = "s3populator.io/" // prefix of every annotation and label of ours
	pv   = "pv.kubernetes.io/"

	lostAfter       = time.Minute      // docs/operations.md, MoverLost
	provisioningFor = 15 * time.Second // docs/operations.md, Provisioning
)

// madeFor: an object carries the claim's UID as a label, and the claim is its controller (0001).
func madeFor(o metav1.Object, claim *corev1.PersistentVolumeClaim) bool {
	return o.GetLabels()[ours+"claim-uid"] == string(claim.UID) && slices.ContainsFunc(
		o.GetOwnerReferences(),
		func(r metav1.OwnerReference) bool { return r.UID == claim.UID && r.Controller != nil && *r.Controller },
	)
}

// podFor is madeFor of a pod that may be absent.
func podFor(p *corev1.Pod, claim *corev1.PersistentVolumeClaim) bool {
	return p != nil && madeFor(p, claim)
}

// filling: a mover fills the prime whose UID it carries; the next prime has the same name.
func filling(mover *corev1.Pod, prime *corev1.PersistentVolumeClaim) bool {
	return mover.Annotations[ours+"prime-uid"] == string(prime.UID)
}

// reservedFor: only the UID of a claimRef tells claims of one name apart.
func reservedFor(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v != nil && v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID != "" && v.Spec.ClaimRef.UID == claim.UID
}

// fullyBound is what the scheduler asks of a claim before it starts a pod that uses it.
func fullyBound(claim *corev1.PersistentVolumeClaim) bool {
	_, completed := claim.Annotations[pv+"bind-completed"]
	return completed && claim.Spec.VolumeName != ""
}

// marked: the durable memory of a verified volume (0014).
func marked(prime *corev1.PersistentVolumeClaim) bool {
	return prime != nil && prime.Annotations[ours+"populated"] != ""
}

// filledFor: the rebind's proof on a volume (0003).
func filledFor(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v != nil && v.Annotations[ours+"populated-for"] == string(claim.UID)
}

// freeBefore: the volume was there before the prime (0018).
func freeBefore(v *corev1.PersistentVolume) bool {
	_, bound := v.Annotations[pv+"bound-by-controller"]
	_, released := v.Annotations[ours+"releasing"]
	return bound || released || v.Annotations[pv+"provisioned-by"] == ""
}

// worthless: the record that what is on the volume is ours to remove (0003).
func worthless(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v.Annotations[ours+"scratch-for"] == string(claim.UID)
}

// goesBack: the record of a release for this claim (0018).
func goesBack(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return v.Annotations[ours+"releasing"] == string(claim.UID)
}

// outlives: no deletion of the prime deletes the volume (0013).
func outlives(v *corev1.PersistentVolume) bool {
	_, scratch := v.Annotations[ours+"scratch-for"]
	return v.Spec.PersistentVolumeReclaimPolicy == "Retain" && !scratch
}

// alive: neither deleted nor left to a provisioner that deletes it.
func alive(v *corev1.PersistentVolume) bool {
	return v != nil && v.DeletionTimestamp == nil && v.Status.Phase != "Released" && v.Status.Phase != "Failed"
}

// fits is what the PV controller asks of a volume whose claimRef names a claim: size, mode,
// class of attributes and access modes.
func fits(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	mode := func(m *corev1.PersistentVolumeMode) string {
		if m == nil {
			return "Filesystem"
		}
		return string(*m)
	}
	attributes := func(name *string) string {
		if name == nil {
			return ""
		}
		return *name
	}
	has, asks := v.Spec.Capacity["storage"], claim.Spec.Resources.Requests["storage"]
	offered := true
	for _, m := range claim.Spec.AccessModes {
		offered = offered && slices.Contains(v.Spec.AccessModes, m)
	}
	return offered && has.Value() >= asks.Value() && mode(v.Spec.VolumeMode) == mode(claim.Spec.VolumeMode) &&
		attributes(v.Spec.VolumeAttributesClassName) == attributes(claim.Spec.VolumeAttributesClassName)
}

// succeeded: the mover's own container ended with code 0 and a report of the class Done (0004).
func succeeded(p *corev1.Pod) bool {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name != "mover" || c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
			continue
		}
		var report struct{ Class string }
		return json.Unmarshal([]byte(c.State.Terminated.Message), &report) == nil && report.Class == "Done"
	}
	return false
}

// saidComplete: the claim's condition tells that its data is complete.
func saidComplete(claim *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(claim.Status.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == ours+"Populated" && c.Status == "True"
	})
}

// knowsNext: the claim remembers how the prime after this one is made (0018).
func knowsNext(s State) bool {
	var next struct{ Claim, Prime string }
	err := json.Unmarshal([]byte(s.Claim.Annotations[ours+"next-prime"]), &next)
	return err == nil && next.Claim == string(s.Claim.UID) && next.Prime == string(s.Prime.UID)
}

// foundFull: a mover said that the volume holds what nobody of ours wrote.
func foundFull(s State) bool {
	return foundFullOnce(s) ||
		s.Prime != nil && strings.Contains(s.Prime.Annotations[ours+"attempts"], "photos/cat.jpg")
}

// foundFullOnce: a later mover did not come to look.
func foundFullOnce(s State) bool {
	return s.Prime != nil && (strings.Contains(s.Prime.Annotations[ours+"attempts"], `"held":true`) || foundShared(s))
}

// foundShared: a mover found signs of another claim that has the volume too (0013).
func foundShared(s State) bool {
	return strings.Contains(s.Prime.Annotations[ours+"attempts"], `"shared":true`)
}

// begunAndRefused: a mover wrote to the volume, and a later one found it complete and not what is asked for (0013).
func begunAndRefused(s State) bool {
	attempts := s.Prime.Annotations[ours+"attempts"]
	return strings.Contains(attempts, `"began":true`) && strings.Contains(attempts, `"reason":"VolumeNotEmpty"`) &&
		!foundShared(s)
}

// editedAfter tells by how worlds are built, not by hashes, that the source was changed after
// movers and primes were made.
func editedAfter(s State) bool {
	return s.Source != nil && s.Source.Spec.Bucket != "datasets"
}

// wantsVolume: the claim is there to stay, and has no volume and none that is promised.
func wantsVolume(s State) bool {
	return s.Claim.Spec.VolumeName == "" && s.Claim.DeletionTimestamp == nil && s.Promised == nil
}

// usable: the prime is ours and alive, bound to a volume that was made for it, and that has a
// record of ours or was kept for what a mover found on it.
func usable(s State) bool {
	return s.Prime != nil && madeFor(s.Prime, s.Claim) && s.Prime.DeletionTimestamp == nil && fullyBound(s.Prime) &&
		alive(s.PrimeVolume) && reservedFor(s.PrimeVolume, s.Prime) && !freeBefore(s.PrimeVolume) &&
		(worthless(s.PrimeVolume, s.Claim) || foundFull(s) && outlives(s.PrimeVolume))
}
