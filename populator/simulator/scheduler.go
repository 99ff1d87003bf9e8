// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// schedulerActions are the scheduler's volume binding: for a class that waits it either
// takes a free volume, which it does not for a claim that has a node, or chooses a node. A
// pod gets its node when every claim of it is bound.
func (w *world) schedulerActions() []action {
	var list []action
	add := func(what string, do func()) { list = append(list, action{"scheduler", what, 6, do}) }
	for _, p := range all[*corev1.Pod](w.server) {
		if p.Spec.NodeName == "" && p.DeletionTimestamp == nil {
			w.schedule(p, add)
		}
	}
	return list
}

func (w *world) schedule(p *corev1.Pod, add func(string, func())) {
	on := ""
	for _, name := range claimNames(p) {
		c := w.claim(name)
		switch {
		case c == nil || c.DeletionTimestamp != nil || c.Status.Phase == corev1.ClaimLost:
			return
		case c.Spec.VolumeName != "" && c.Annotations[v1alpha1.AnnotationBindCompleted] != "":
			on = c.Annotations[v1alpha1.AnnotationSelectedNode]
		case w.late():
			w.bindLate(c, add)
			return
		default:
			return
		}
	}
	nodes := w.up()
	if len(nodes) == 0 {
		return
	}
	if !contains(nodes, on) {
		on = nodes[w.stable(len(nodes))]
	}
	add("puts "+p.Name+" on node "+on, func() {
		edit(w.server, p, func(p *corev1.Pod) { p.Spec.NodeName = on })
	})
}

// bindLate is one unbound claim of a class that waits for its first consumer.
func (w *world) bindLate(c *corev1.PersistentVolumeClaim, add func(string, func())) {
	if c.Spec.VolumeName != "" || c.Annotations[v1alpha1.AnnotationSelectedNode] != "" {
		return
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		if v.Spec.ClaimRef != nil && boundTo(v, c) {
			return // The PV controller goes on with it.
		}
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		if v.Spec.ClaimRef == nil && v.Status.Phase == corev1.VolumeAvailable && fits(v, c) {
			add("takes volume "+v.Name+" for "+c.Name, func() { w.install(v, c) })
			return
		}
	}
	if nodes := w.up(); len(nodes) > 0 {
		chosen := nodes[w.stable(len(nodes))]
		add("selects node "+chosen+" for "+c.Name, func() {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) {
				annotate(c, v1alpha1.AnnotationSelectedNode, chosen)
			})
		})
	}
}

func (w *world) up() []string {
	var names []string
	for _, n := range w.nodes {
		if !n.down {
			names = append(names, n.name)
		}
	}
	return names
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

func claimNames(p *corev1.Pod) []string {
	var names []string
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// attachActions are the attach-detach controller's. A volume of one node at a time waits
// for the detachment from the other. From a node that is cut off it is detached by force
// after a while, which ends what could be written from there.
func (w *world) attachActions() []action {
	var list []action
	add := func(what string, weight int, do func()) { list = append(list, action{"attacher", what, weight, do}) }
	wanted := map[string]bool{}
	if w.setting.unattached {
		return nil
	}
	for _, p := range all[*corev1.Pod](w.server) {
		if p.Spec.NodeName == "" || ended(p) {
			continue
		}
		for _, v := range w.volumesOf(p) {
			name := attachmentName(v.Name, p.Spec.NodeName)
			wanted[name] = true
			if _, ok := one[*storagev1.VolumeAttachment](w.server, "", name); ok || p.DeletionTimestamp != nil ||
				w.heldElsewhere(v, p.Spec.NodeName) {
				continue
			}
			add("attaches "+v.Name+" to node "+p.Spec.NodeName, 6, func() { w.attach(v, p.Spec.NodeName) })
		}
	}
	for _, a := range all[*storagev1.VolumeAttachment](w.server) {
		if wanted[a.Name] {
			continue
		}
		switch mounted := w.mounted(*a.Spec.Source.PersistentVolumeName, a.Spec.NodeName); {
		case !mounted && !w.node(a.Spec.NodeName).down:
			add("detaches "+a.Name, 5, func() { w.remove(a) })
		case w.node(a.Spec.NodeName).down:
			add("detaches "+a.Name+" by force", 1, func() { w.detachByForce(a) })
		}
	}
	return list
}

func attachmentName(volume, node string) string { return "csi-" + volume + "-" + node }

func (w *world) attach(v *corev1.PersistentVolume, node string) {
	a := &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: attachmentName(v.Name, node)},
		Spec: storagev1.VolumeAttachmentSpec{
			Attacher: driver, NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &v.Name},
		},
		Status: storagev1.VolumeAttachmentStatus{Attached: true},
	}
	w.must(w.create(a))
}

func (w *world) heldElsewhere(v *corev1.PersistentVolume, node string) bool {
	if v.Spec.AccessModes[0] != corev1.ReadWriteOnce {
		return false
	}
	for _, a := range all[*storagev1.VolumeAttachment](w.server) {
		if *a.Spec.Source.PersistentVolumeName == v.Name && a.Spec.NodeName != node {
			return true
		}
	}
	return false
}

func (w *world) detachByForce(a *storagev1.VolumeAttachment) {
	for _, p := range w.processes {
		for _, m := range p.mounts {
			if p.node == a.Spec.NodeName && m.name == *a.Spec.Source.PersistentVolumeName {
				p.cutOff = true
			}
		}
	}
	w.remove(a)
}

// volumesOf a pod's claims, as far as they are bound.
func (w *world) volumesOf(p *corev1.Pod) []*corev1.PersistentVolume {
	var list []*corev1.PersistentVolume
	for _, name := range claimNames(p) {
		if c := w.claim(name); c != nil && c.Spec.VolumeName != "" {
			if v := w.volume(c.Spec.VolumeName); v != nil {
				list = append(list, v)
			}
		}
	}
	return list
}
