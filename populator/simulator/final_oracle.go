// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The promises of an export before deletion.
const (
	promiseExported   = "a held claim goes, and its volume is destroyed, only when all its data is in a complete manifest"
	promiseHolder     = "a volume is bound to its user's claim or to an export claim of ours, and to nothing else"
	promiseRetained   = "a volume that is taken has the policy Retain, and its own when its claim goes"
	promiseOnlyChosen = "the finalizer is on the claims that ask for it or that a policy selects, and on no others"
)

// finalizerOfOurs and recordOfOurs are documented.
const (
	finalizerOfOurs = "s3populator.io/final-export"
	recordOfOurs    = "s3populator.io/final-export"
)

// FinalSeen counts what runs met.
type FinalSeen struct {
	Exports, Failures, Taken, Returned, Complete, Skipped, Forced, ForcedDeletions, Namespaces, Imposters, Repointed int
	// ByPolicy are claims that a policy alone kept until they were exported.
	ByPolicy int
}

// home is what a volume was when its user's claim was bound to it.
type home struct {
	claim  types.UID
	policy corev1.PersistentVolumeReclaimPolicy
}

// finalOracle knows the promises and what is needed to judge them. It uses nothing that decides.
type finalOracle struct {
	d *departure
	// homes of volumes.
	homes map[types.UID]home
	// held are claims whose deletion began with the finalizer on them.
	held map[types.UID]bool
	// byPolicy are those of them whose annotations did not ask for that.
	byPolicy map[types.UID]bool
	// excused claims may go without an export: somebody said so.
	excused map[types.UID]bool
	// ours are export claims that the manager made.
	ours      map[types.UID]bool
	imposters map[types.UID]bool
	seen      FinalSeen
}

func newFinalOracle(d *departure) *finalOracle {
	return &finalOracle{
		d: d, homes: map[types.UID]home{}, held: map[types.UID]bool{}, byPolicy: map[types.UID]bool{},
		excused: map[types.UID]bool{}, ours: map[types.UID]bool{}, imposters: map[types.UID]bool{},
	}
}

func (o *finalOracle) broken(promise, format string, args ...any) {
	panic(stopped{promise, fmt.Sprintf(format, args...)})
}

func (o *finalOracle) changed(c change) {
	subject := c.after
	if subject == nil {
		subject = c.before
	}
	switch subject.(type) {
	case *corev1.PersistentVolumeClaim:
		o.claimChanged(c)
	case *corev1.PersistentVolume:
		o.volumeChanged(c)
	}
}

func (o *finalOracle) byManager() bool { return strings.HasPrefix(o.d.w.actor, "manager") }

func (o *finalOracle) claimChanged(c change) {
	if c.before == nil {
		if o.byManager() {
			o.ours[c.after.GetUID()] = true
			if v := c.after.(*corev1.PersistentVolumeClaim).Spec.VolumeName; v == "" {
				o.broken(promiseHolder, "export claim %s names no volume, so that one may be made for it", c.after.GetName())
			}
		}
		return
	}
	uid := c.before.GetUID()
	going := c.after == nil || c.before.GetDeletionTimestamp() == nil && c.after.GetDeletionTimestamp() != nil
	if going && o.byManager() && !o.ours[uid] && (c.after != nil || c.before.GetDeletionTimestamp() == nil) {
		o.broken(promiseImposter, "%s was deleted by %s", c.before.GetName(), o.d.w.actor)
	}
	if going && c.after != nil && slices.Contains(c.after.GetFinalizers(), finalizerOfOurs) {
		o.held[uid] = true
		o.byPolicy[uid] = !asksItself(c.after.(*corev1.PersistentVolumeClaim))
	}
	if c.after == nil {
		o.gone(c.before.(*corev1.PersistentVolumeClaim))
		return
	}
	if c.after.GetAnnotations()[v1alpha1.AnnotationSkipFinalExport] == "true" && !o.excused[uid] {
		o.seen.Skipped++
		o.excused[uid] = true
	}
}

// gone judges the moment in which a claim that was held is no more.
func (o *finalOracle) gone(c *corev1.PersistentVolumeClaim) {
	v := o.d.w.volume(c.Spec.VolumeName)
	if !o.held[c.UID] || v == nil || o.homes[v.UID].claim != c.UID {
		return
	}
	o.mustBeExported(v, c.UID)
	if o.excused[c.UID] && o.forced(c) {
		return // It is given back when the manager has seen that.
	}
	if v.Spec.PersistentVolumeReclaimPolicy != o.homes[v.UID].policy || v.Annotations[recordOfOurs] != "" {
		o.broken(
			promiseRetained,
			"claim %s went and its volume %s has policy %s and record %q, its own was %s",
			c.Name,
			v.Name,
			v.Spec.PersistentVolumeReclaimPolicy,
			v.Annotations[recordOfOurs],
			o.homes[v.UID].policy,
		)
	}
	if !o.excused[c.UID] {
		o.seen.Complete++
		if o.byPolicy[c.UID] {
			o.seen.ByPolicy++
		}
	}
}

// forced: somebody took the finalizer off, so that the manager may not have finished.
func (o *finalOracle) forced(c *corev1.PersistentVolumeClaim) bool {
	return !o.byManager() && o.excused[c.UID]
}

func (o *finalOracle) mustBeExported(v *corev1.PersistentVolume, claim types.UID) {
	if !o.held[claim] || o.excused[claim] || o.d.w.leaving(namespace) {
		return
	}
	if version, ok := o.d.manifests[claim]; !ok || version != o.d.data[v.UID] {
		o.broken(
			promiseExported,
			"volume %s has data %d, exported for %s is %d (%t)",
			v.Name,
			o.d.data[v.UID],
			claim,
			version,
			ok,
		)
	}
}

func (o *finalOracle) volumeChanged(c change) {
	if c.after == nil {
		return
	}
	v := c.after.(*corev1.PersistentVolume)
	ref := v.Spec.ClaimRef
	h, known := o.homes[v.UID]
	if !known {
		if ref != nil && ref.UID != "" {
			o.homes[v.UID] = home{ref.UID, v.Spec.PersistentVolumeReclaimPolicy}
		}
		return
	}
	was := ""
	if c.before != nil {
		was = c.before.GetAnnotations()[recordOfOurs]
	}
	is := v.Annotations[recordOfOurs]
	switch {
	case ref == nil || ref.UID == "":
		o.broken(promiseHolder, "volume %s has no claim", v.Name)
	case ref.UID != h.claim && (!o.ours[ref.UID] || ref.Name != exportClaimPrefix+string(h.claim)):
		o.broken(promiseHolder, "volume %s of %s was given to %s %s", v.Name, h.claim, ref.Name, ref.UID)
	case is != "" && v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain:
		o.broken(promiseRetained, "volume %s is taken with policy %s", v.Name, v.Spec.PersistentVolumeReclaimPolicy)
	case is == "" && ref.UID != h.claim:
		o.broken(promiseRetained, "volume %s is taken without a record", v.Name)
	case is == "" && v.Spec.PersistentVolumeReclaimPolicy != h.policy:
		o.broken(promiseRetained, "volume %s was given back with policy %s, its own is %s", v.Name,
			v.Spec.PersistentVolumeReclaimPolicy, h.policy)
	}
	switch {
	case was == "" && is != "":
		o.seen.Taken++
	case was != "" && is == "":
		o.seen.Returned++
	case is != "" && c.before.(*corev1.PersistentVolume).Spec.ClaimRef.UID != ref.UID:
		o.seen.Repointed++
	}
}

// starts tells movers from pods of users: one that is killed does not end well.
func (o *finalOracle) starts(p *process) { p.mover = strings.HasPrefix(p.name, exportPodPrefix) }

// destroys judges the end of a volume's data.
func (o *finalOracle) destroys(v *corev1.PersistentVolume) {
	h, known := o.homes[v.UID]
	if !known {
		return
	}
	if v.Annotations[recordOfOurs] != "" {
		o.broken(promiseExported, "volume %s was destroyed while it was taken", v.Name)
	}
	o.mustBeExported(v, h.claim)
}

// judge looks at the whole after every step: a mover reads alone.
func (o *finalOracle) judge() {
	w := o.d.w
	for _, p := range w.processes {
		if !strings.HasPrefix(p.name, exportPodPrefix) || p.ended {
			continue
		}
		for _, q := range w.processes {
			if q.writes() && q.on(p.mounts[0].volume) {
				o.broken(
					promiseOneWriter,
					"%s on node %s writes to volume %s while %s reads it",
					q.name,
					q.node,
					p.mounts[0].name,
					p.name,
				)
			}
		}
	}
}

// judgeRest looks at claims when nobody interferes any more.
func (o *finalOracle) judgeRest() {
	for _, name := range claimsOfUsers {
		c := o.d.w.claim(name)
		if c == nil {
			continue
		}
		held := slices.Contains(c.Finalizers, finalizerOfOurs)
		wanted := asksItself(c) || o.d.policyOf(c) != nil
		if c.DeletionTimestamp == nil && held != wanted && !o.d.w.leaving(namespace) {
			o.broken(promiseOnlyChosen, "claim %s is held: %t, asks for it: %t", name, held, wanted)
		}
		if c.DeletionTimestamp == nil || !held {
			continue
		}
		told := finalCondition(c)
		if told.Reason == "" || told.Message == "" {
			o.broken(promiseTold, "claim %s does not go and has no condition", name)
		}
		pod := o.d.w.consumerOf(name)
		if o.d.reachable(c) && pod == nil &&
			o.d.w.claim(exportClaimPrefix+string(c.UID)) == nil {
			o.broken(promiseConverge, "claim %s stays although it could be exported: %s: %s", name, told.Reason, told.Message)
		}
	}
}

func finalCondition(c *corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaimCondition {
	for _, x := range c.Status.Conditions {
		if x.Type == v1alpha1.ConditionFinalExport {
			return x
		}
	}
	return corev1.PersistentVolumeClaimCondition{}
}

// judgeEnd looks at what is left when the claims are gone.
func (o *finalOracle) judgeEnd() {
	w := o.d.w
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		told := finalCondition(c)
		o.broken(
			promiseNothing,
			"claim %s is left with finalizers %v: %s: %s",
			c.Name,
			c.Finalizers,
			told.Reason,
			told.Message,
		)
	}
	for _, p := range all[*corev1.Pod](w.server) {
		o.broken(promiseNothing, "pod %s is left", p.Name)
	}
	for _, e := range all[*v1alpha1.S3Export](w.server) {
		if e.Status.Phase != v1alpha1.ExportSucceeded {
			o.broken(promiseNothing, "S3Export %s is left, %s", e.Name, e.Status.Phase)
		}
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		h := o.homes[v.UID]
		if v.Annotations[recordOfOurs] != "" || v.Spec.PersistentVolumeReclaimPolicy != h.policy || !holds(v, h.claim) {
			o.broken(promiseRetained, "volume %s is left with policy %s (its own is %s) and %v", v.Name,
				v.Spec.PersistentVolumeReclaimPolicy, h.policy, v.Annotations)
		}
		if h.policy == corev1.PersistentVolumeReclaimDelete {
			o.broken(promiseNothing, "volume %s is left in phase %s, its policy is Delete", v.Name, v.Status.Phase)
		}
	}
}

func holds(v *corev1.PersistentVolume, claim types.UID) bool {
	return v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID == claim
}

func uidOf(o client.Object) types.UID { return types.UID(o.GetLabels()[v1alpha1.LabelClaimUID]) }
