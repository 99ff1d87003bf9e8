// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// How long nothing may happen before the world is at rest; longer than any back-off. And how
// many steps it may take to get there.
const (
	restAfter    = 20 * time.Minute
	mostSteps    = 6000
	mostSettling = 8 * time.Hour
)

// mend ends the trouble: people do what conditions ask them for, and nobody interferes.
func (w *world) mend() {
	w.settling, w.poolFull, w.actor = true, false, "mend"
	for _, n := range w.nodes {
		n.down = false
	}
	for _, r := range w.replicas {
		r.stalled = nil
		if r.zombie {
			r.stop()
		}
	}
	for i, name := range claimsOfUsers {
		c := w.claim(name)
		if c == nil {
			w.createClaim(name, i)
		} else if c.DeletionTimestamp == nil {
			w.retry(c)
			if taken := w.claim(primePrefix + string(c.UID)); taken != nil && w.oracle.imposters[taken.UID] {
				w.must(w.delete(taken, client.DeleteOptions{}))
			}
		}
		if c != nil && c.DeletionTimestamp != nil {
			if p := w.consumerOf(name); p != nil {
				w.must(w.delete(p, client.DeleteOptions{}))
			}
			continue
		}
		if w.late() && w.consumerOf(name) == nil {
			w.createConsumer(name)
		}
	}
}

// settle plays, each in turn, until nothing has changed for long.
func (w *world) settle() {
	quiet, version, began := w.now, w.version, w.now
	for step := 0; w.now.Sub(quiet) < restAfter; step++ {
		if step > mostSteps || w.now.Sub(began) > mostSettling {
			w.oracle.broken(promiseConverge, "after %d steps and %s something still changes", step, w.now.Sub(began))
		}
		if list := w.actions(); len(list) > 0 {
			w.perform(list[step%len(list)])
		} else {
			w.sleep()
		}
		if w.version != version {
			quiet, version = w.now, w.version
		}
	}
	if late := w.wroteAt.Sub(quiet); late > time.Minute {
		w.oracle.broken(promiseRest, "a write that changed nothing %s after the last change", late)
	}
}

// sleep goes on to whatever is due next.
func (w *world) sleep() {
	next := w.now.Add(restAfter)
	for _, r := range w.replicas {
		if !r.leading {
			continue
		}
		for _, at := range r.due {
			if at.Before(next) {
				next = at
			}
		}
		if r.sweepAt.Before(next) {
			next = r.sweepAt
		}
	}
	w.now = next
}

// judgeRest looks at claims after everything was mended.
func (o *oracle) judgeRest() {
	for _, name := range claimsOfUsers {
		c := o.w.claim(name)
		if c == nil || c.DeletionTimestamp != nil {
			continue // It was on its way out when everything was mended.
		}
		told := populated(c)
		if told.Reason == "" {
			o.broken(promiseTold, "claim %s is %s without a condition", name, c.Status.Phase)
		}
		switch v := o.w.volume(c.Spec.VolumeName); {
		case v != nil && v.Annotations[v1alpha1.AnnotationPopulatedFor] == string(c.UID):
			if told.Status != corev1.ConditionTrue {
				o.broken(promiseTold, "claim %s is populated, its condition is %s %s", name, told.Status, told.Reason)
			}
		case v != nil:
			o.seen.BoundElsewhere++
			if told.Status == corev1.ConditionTrue {
				o.broken(
					promiseTold,
					"claim %s is bound to a volume of another, its condition is %s %s",
					name,
					told.Status,
					told.Reason,
				)
			}
		case told.Reason == "VolumeNotEmpty" && o.reportLost(c): // docs/design/0013 refuses what it cannot prove.
		default:
			o.broken(promiseConverge, "claim %s is still %s: %s %s: %s", name, c.Status.Phase, told.Status, told.Reason,
				told.Message)
		}
	}
	if o.seen.Primes == 0 && !o.elsewhere {
		o.broken(promiseSomething, "no prime was made")
	}
}

// reportLost: a mover finished, nobody heard of it, and then its source was edited.
func (o *oracle) reportLost(c *corev1.PersistentVolumeClaim) bool {
	prime := o.w.claim(primePrefix + string(c.UID))
	if prime == nil || o.w.volume(prime.Spec.VolumeName) == nil {
		return false
	}
	data := o.w.contents[o.w.volume(prime.Spec.VolumeName).UID]
	return data.state == full && data.claim == string(c.UID)
}

func populated(c *corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaimCondition {
	for _, x := range c.Status.Conditions {
		if x.Type == v1alpha1.ConditionPopulated {
			return x
		}
	}
	return corev1.PersistentVolumeClaimCondition{}
}

// tearDown deletes what users made.
func (w *world) tearDown() {
	w.teardown, w.actor = true, "teardown"
	for _, name := range claimsOfUsers {
		if p := w.consumerOf(name); p != nil {
			w.must(w.delete(p, client.DeleteOptions{}))
		}
		if c := w.claim(name); c != nil {
			w.must(w.delete(c, client.DeleteOptions{}))
		}
	}
}

// judgeEnd looks at what is left when the claims are gone.
func (o *oracle) judgeEnd() {
	for _, c := range all[*corev1.PersistentVolumeClaim](o.w.server) {
		if !o.imposters[c.UID] && !o.excused(c) {
			o.broken(promiseNothing, "claim %s is left", c.Name)
		}
	}
	for _, p := range all[*corev1.Pod](o.w.server) {
		o.broken(promiseNothing, "pod %s is left", p.Name)
	}
	for _, i := range all[*v1alpha1.S3Import](o.w.server) {
		if !o.orphaned {
			o.broken(promiseNothing, "S3Import %s is left", i.Name)
		}
	}
	for _, v := range all[*corev1.PersistentVolume](o.w.server) {
		o.judgeLeftVolume(v)
	}
}

// excused: of what somebody orphaned on purpose only that goes which carries a record.
func (o *oracle) excused(c *corev1.PersistentVolumeClaim) bool {
	v := o.w.volume(c.Spec.VolumeName)
	return o.orphaned && len(c.OwnerReferences) == 0 && strings.HasPrefix(c.Name, primePrefix) &&
		(v == nil || !marked(v) || o.refused[v.UID])
}

// marked tells that a volume carries a record of ours.
func marked(v *corev1.PersistentVolume) bool {
	return slices.ContainsFunc(
		[]string{v1alpha1.AnnotationScratchFor, v1alpha1.AnnotationReleasing, v1alpha1.AnnotationReclaimPolicy},
		func(a string) bool {
			return v.Annotations[a] != ""
		},
	)
}

func (o *oracle) judgeLeftVolume(v *corev1.PersistentVolume) {
	original, notOurs := o.policies[v.UID]
	holder := o.holder(v)
	switch {
	case notOurs:
		if v.Spec.PersistentVolumeReclaimPolicy != original || marked(v) {
			o.broken(
				promisePolicy,
				"volume %s has policy %s and annotations %v, its policy was %s",
				v.Name,
				v.Spec.PersistentVolumeReclaimPolicy,
				v.Annotations,
				original,
			)
		}
		// One that no record tells from a user's, who may have such a name, is left as it is.
		// A claimRef without a UID is a user's, whose claim was never bound.
		prime, released := o.releasing[v.UID]
		if ref := v.Spec.ClaimRef; released && ref != nil && ref.UID == prime && holder == nil {
			o.broken(promisePolicy, "volume %s was released, but is kept for prime %s, which is gone", v.Name, ref.Name)
		}
	case holder != nil: // Its claim was excused.
	case o.refused[v.UID] && v.Status.Phase == corev1.VolumeReleased &&
		v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain:
		// It stays for an administrator, who was told.
	case o.w.setting.policy != corev1.PersistentVolumeReclaimRetain || marked(v):
		o.broken(promiseNothing, "volume %s is left in phase %s with %v", v.Name, v.Status.Phase, v.Annotations)
	case v.Annotations[v1alpha1.AnnotationPopulatedFor] != "": // The user's, who keeps such volumes.
	case o.w.contents[v.UID].state != empty:
		o.broken(promiseNothing, "volume %s is left, a mover has written to it", v.Name)
	}
}

func (o *oracle) holder(v *corev1.PersistentVolume) *corev1.PersistentVolumeClaim {
	if v.Spec.ClaimRef == nil {
		return nil
	}
	return o.w.claimOf(v.Spec.ClaimRef.UID)
}
