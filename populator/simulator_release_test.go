// SPDX-License-Identifier: Apache-2.0

package populator

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// release is the PV controller for volumes without a claim, and the provisioner that
// deletes them; the reclaimer runs where its watch would wake it.
func (sim *simulator) release(alive map[types.UID]bool) bool {
	for _, v := range sim.volumes() {
		switch {
		case sim.volumeController(&v):
		case v.Spec.ClaimRef == nil && v.Status.Phase != corev1.VolumeAvailable:
			v.Status.Phase = corev1.VolumeAvailable
			sim.must(sim.api.Status().Update(sim.t.Context(), &v))
		case v.Spec.ClaimRef == nil || alive[v.Spec.ClaimRef.UID]:
			continue
		case v.Status.Phase != corev1.VolumeReleased:
			v.Status.Phase = corev1.VolumeReleased
			sim.must(sim.api.Status().Update(sim.t.Context(), &v))
		case v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete:
			sim.must(sim.api.Delete(sim.t.Context(), &v))
		default:
			continue
		}
		return true
	}
	return false
}

// collect is garbage collection, and the deleter of released volumes.
func (sim *simulator) collect() bool {
	alive := map[types.UID]bool{}
	for _, c := range sim.claims() {
		alive[c.UID] = true
	}
	if sim.release(alive) {
		return true
	}
	var all []client.Object
	for _, p := range sim.pods() {
		all = append(all, &p)
	}
	for _, c := range sim.claims() {
		all = append(all, &c)
	}
	for _, o := range all {
		for _, ref := range o.GetOwnerReferences() {
			if !alive[ref.UID] {
				sim.must(sim.api.Delete(sim.t.Context(), o))
				return true
			}
		}
	}
	return false
}
