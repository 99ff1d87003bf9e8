// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The promises. Their names are what a failure is found by.
const (
	promiseForeign     = "data that is not ours is never written, wiped or deleted"
	promisePolicy      = "the policy of a volume that is not ours is never made Delete, and is what it was in the end"
	promiseComplete    = "a claim is bound to a volume that holds all of what its source asked for at the rebind"
	promiseOneWriter   = "two pods never write to one volume"
	promiseOneMover    = "a claim never has two movers"
	promiseProof       = "populated-for is never revoked, nor on a volume that is not complete"
	promiseImposter    = "a claim that only looks like ours is never deleted"
	promiseNothing     = "nothing of ours is left in the end"
	promiseRest        = "nothing is written at rest"
	promiseConverge    = "what can be populated is populated, and everything comes to rest"
	promiseTold        = "a Pending claim has a condition that says why"
	promiseSomething   = "something happened"
	promiseWellBehaved = "the manager does not panic"
)

// wish is what a source asked for from some moment on.
type wish struct{ source, wish string }

// oracle knows the promises and what is needed to judge them. It uses nothing that decides.
type oracle struct {
	w *world
	// policies of volumes with foreign data, as they were made.
	policies  map[types.UID]corev1.PersistentVolumeReclaimPolicy
	imposters map[types.UID]bool
	// releasing has the claimRef of volumes whose release began.
	releasing map[types.UID]types.UID
	orphaned  bool
	// elsewhere: a claim got a volume with somebody's data, so that it needs no prime.
	elsewhere bool
	// refused are volumes that a mover could not prove to be ours, so that they stay.
	refused map[types.UID]bool
	// sources of claims by the claims' UIDs.
	sources map[types.UID]string
	wishes  []wish
	// began has for each pass under way how many wishes there were at its beginning.
	began []int
	seen  Seen
}

// population is the scenario of claims that are filled from S3.
type population struct{ *oracle }

func (p population) disturb() []action { return p.w.chaosActions() }

func (p population) work() []action { return p.w.moverActions() }

func newOracle(w *world) *oracle {
	return &oracle{
		w: w, policies: map[types.UID]corev1.PersistentVolumeReclaimPolicy{},
		imposters: map[types.UID]bool{}, releasing: map[types.UID]types.UID{}, sources: map[types.UID]string{},
		refused: map[types.UID]bool{},
	}
}

func (o *oracle) broken(promise, format string, args ...any) {
	panic(stopped{promise, fmt.Sprintf(format, args...)})
}

func (o *oracle) byManager() bool { return strings.HasPrefix(o.w.actor, "manager") }

// changed judges one change of an object.
func (o *oracle) changed(c change) {
	subject := c.after
	if subject == nil {
		subject = c.before
	}
	switch subject.(type) {
	case *v1alpha1.S3Source:
		o.sourceChanged(c)
	case *corev1.PersistentVolumeClaim:
		o.claimChanged(c)
	case *corev1.PersistentVolume:
		o.volumeChanged(c)
	case *corev1.Pod:
		if c.before == nil && strings.HasPrefix(subject.GetName(), moverPrefix) {
			o.seen.Movers++
		}
	}
}

func (o *oracle) sourceChanged(c change) {
	after, _ := c.after.(*v1alpha1.S3Source)
	if c.after == nil {
		return
	}
	before, _ := c.before.(*v1alpha1.S3Source)
	if c.before != nil && before.Spec.Prefix == after.Spec.Prefix {
		return
	}
	if c.before != nil {
		o.seen.Edits++
	}
	o.wishes = append(o.wishes, wish{after.Name, wishOf(after.Spec.Bucket, after.Spec.Prefix)})
}

func (o *oracle) claimChanged(c change) {
	if c.before == nil {
		claim := c.after.(*corev1.PersistentVolumeClaim)
		if asksForData(claim) {
			o.sources[claim.UID] = claim.Spec.DataSourceRef.Name
		}
		if o.byManager() {
			o.seen.Primes++
		}
		return
	}
	going := c.after == nil || c.before.GetDeletionTimestamp() == nil && c.after.GetDeletionTimestamp() != nil
	if going && o.byManager() && o.imposters[c.before.GetUID()] {
		o.broken(promiseImposter, "%s was deleted by %s", c.before.GetName(), o.w.actor)
	}
}

func (o *oracle) volumeChanged(c change) {
	if c.after == nil {
		return
	}
	after := c.after.(*corev1.PersistentVolume)
	was := ""
	if c.before != nil {
		was = c.before.GetAnnotations()[v1alpha1.AnnotationPopulatedFor]
	}
	is := after.Annotations[v1alpha1.AnnotationPopulatedFor]
	switch {
	case was == "" && is != "":
		o.rebound(after, types.UID(is))
	case was != is:
		o.broken(promiseProof, "populated-for of volume %s changed from %q to %q", after.Name, was, is)
	}
	original, ours := o.policies[after.UID]
	if ours && original != corev1.PersistentVolumeReclaimDelete &&
		after.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		o.broken(promisePolicy, "the policy of volume %s, which holds foreign data, became Delete", after.Name)
	}
	if ours && c.before != nil && c.before.GetAnnotations()[v1alpha1.AnnotationReleasing] == "" &&
		after.Annotations[v1alpha1.AnnotationReleasing] != "" {
		o.seen.Captures++
		if after.Spec.ClaimRef != nil {
			o.releasing[after.UID] = after.Spec.ClaimRef.UID
		}
	}
}

// rebound judges the moment in which a volume becomes its user's.
func (o *oracle) rebound(v *corev1.PersistentVolume, claim types.UID) {
	o.seen.Rebinds++
	c := o.w.contents[v.UID]
	switch {
	case c == nil || c.state != full || c.claim != string(claim):
		o.broken(promiseProof, "volume %s was marked populated for %s, but holds %+v", v.Name, claim, c)
	case !slices.Contains(o.acceptable(o.sources[claim]), c.wish):
		o.broken(
			promiseComplete,
			"volume %s holds %s, but its source asks for %v",
			v.Name,
			c.wish,
			o.acceptable(o.sources[claim]),
		)
	case v.Spec.PersistentVolumeReclaimPolicy != o.w.setting.policy:
		o.broken(
			promiseComplete,
			"volume %s was handed over with policy %s, its class says %s",
			v.Name,
			v.Spec.PersistentVolumeReclaimPolicy,
			o.w.setting.policy,
		)
	}
	for _, p := range o.w.processes {
		if p.writes() && p.on(v.UID) {
			o.broken(promiseOneWriter, "volume %s was handed over while %s on node %s may write to it", v.Name, p.name, p.node)
		}
	}
}

// acceptable wishes are what a source asked for at any moment of the pass that judged it.
func (o *oracle) acceptable(source string) []string {
	since := len(o.wishes)
	if n := len(o.began); n > 0 {
		since = o.began[n-1]
	}
	var list []string
	for i, x := range o.wishes {
		if x.source != source {
			continue
		}
		if i < since {
			list = nil // An older one, replaced before the pass began.
		}
		list = append(list, x.wish)
	}
	return list
}

func (p *process) on(volume types.UID) bool {
	return slices.ContainsFunc(p.mounts, func(m mount) bool { return m.volume == volume && m.writable })
}

// starts judges a pod whose processes begin to run.
func (o *oracle) starts(p *process) {
	if !p.mover {
		return
	}
	for _, m := range p.mounts {
		if c := o.w.contents[m.volume]; m.writable && c != nil && c.state == foreign {
			o.broken(promiseForeign, "%s, which can write, was started on volume %s, which holds foreign data", p.name, m.name)
		}
	}
}

// writes judges a write of a mover.
func (o *oracle) writes(p *process, c *content) {
	if c.state == foreign {
		o.broken(promiseForeign, "%s writes to volume %s", p.name, p.mounts[0].name)
	}
	if v := o.w.volume(p.mounts[0].name); v != nil && v.Annotations[v1alpha1.AnnotationPopulatedFor] != "" {
		o.broken(promiseProof, "%s writes to volume %s, which was handed over", p.name, v.Name)
	}
}

// destroys judges the end of a volume's data.
func (o *oracle) destroys(v *corev1.PersistentVolume) {
	c := o.w.contents[v.UID]
	if c != nil && c.state == foreign && o.policies[v.UID] == corev1.PersistentVolumeReclaimRetain {
		o.broken(promiseForeign, "volume %s was destroyed", v.Name)
	}
	if uid := v.Annotations[v1alpha1.AnnotationPopulatedFor]; uid != "" {
		if c := o.w.claimOf(types.UID(uid)); c != nil && c.Spec.VolumeName == v.Name {
			o.broken(promiseComplete, "volume %s of a claim that lives was destroyed", v.Name)
		}
	}
}

// judge looks at the whole after every step.
func (o *oracle) judge() {
	o.judgeWriters()
	for _, c := range all[*corev1.PersistentVolumeClaim](o.w.server) {
		if !asksForData(c) || c.Spec.VolumeName == "" {
			continue
		}
		v := o.w.volume(c.Spec.VolumeName)
		if v == nil {
			continue
		}
		data := o.w.contents[v.UID]
		proof := v.Annotations[v1alpha1.AnnotationPopulatedFor]
		switch {
		case data == nil || data.state == foreign:
			o.elsewhere = true
		case proof != "" && proof != string(c.UID) && data.state == full:
			// Kubernetes reserves by name a volume whose claim got another one meanwhile. It holds
			// what an earlier claim of that name asked for; the condition says BoundElsewhere.
		case proof != string(c.UID):
			o.broken(promiseComplete, "claim %s is bound to volume %s, which was never filled for it", c.Name, v.Name)
		case data.state != full || data.claim != string(c.UID):
			o.broken(promiseComplete, "claim %s is bound to volume %s, which holds %+v", c.Name, v.Name, data)
		}
	}
}

func (o *oracle) judgeWriters() {
	for i, p := range o.w.processes {
		for _, q := range o.w.processes[:i] {
			if !p.writes() || !q.writes() || !p.mover && !q.mover {
				continue
			}
			for _, m := range p.mounts {
				if m.writable && q.on(m.volume) {
					o.broken(promiseOneWriter, "%s on node %s and %s on node %s both write to volume %s", p.name, p.node, q.name,
						q.node, m.name)
				}
			}
			if p.mover && q.mover && p.claimUID == q.claimUID {
				o.broken(promiseOneMover, "claim %s has movers %s and %s", p.claimUID, p.pod, q.pod)
			}
		}
	}
}
