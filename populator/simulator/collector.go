// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// collectorActions are garbage collection's, and those of the controllers that take the
// finalizers off claims and volumes that nobody uses any more.
func (w *world) collectorActions() []action {
	var list []action
	add := func(what string, do func()) { list = append(list, action{"collector", what, 4, do}) }
	alive := map[types.UID]bool{}
	for _, o := range w.owners() {
		alive[o.GetUID()] = true
	}
	for _, o := range w.dependents() {
		refs := o.GetOwnerReferences()
		if len(refs) > 0 && o.GetDeletionTimestamp() == nil &&
			!slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return alive[r.UID] }) {
			add("collects "+o.GetName(), func() { w.must(w.delete(o, client.DeleteOptions{})) })
		}
	}
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if c.DeletionTimestamp != nil && slices.Contains(c.Finalizers, finalizerClaim) && !w.used(c) {
			add("lets claim "+c.Name+" go", func() {
				edit(w.server, c, func(c *corev1.PersistentVolumeClaim) { c.Finalizers = without(c.Finalizers, finalizerClaim) })
			})
		}
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		if v.DeletionTimestamp != nil && v.Status.Phase != corev1.VolumeBound {
			add("lets volume "+v.Name+" go", func() {
				edit(w.server, v, func(v *corev1.PersistentVolume) { v.Finalizers = without(v.Finalizers, finalizerVolume) })
			})
		}
	}
	return list
}

// used tells that a pod with a node names a claim, even one that has ended.
func (w *world) used(c *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(all[*corev1.Pod](w.server), func(p *corev1.Pod) bool {
		return p.Spec.NodeName != "" && slices.Contains(claimNames(p), c.Name)
	})
}

func (w *world) owners() []client.Object {
	var list []client.Object
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		list = append(list, c)
	}
	for _, e := range all[*v1alpha1.S3Export](w.server) {
		list = append(list, e)
	}
	return list
}

func (w *world) dependents() []client.Object {
	list := w.owners()
	for _, p := range all[*corev1.Pod](w.server) {
		list = append(list, p)
	}
	for _, i := range all[*v1alpha1.S3Import](w.server) {
		list = append(list, i)
	}
	return list
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}
