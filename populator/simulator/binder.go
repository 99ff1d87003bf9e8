// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// annotationBoundByController tells that a controller chose the claim of a volume.
const annotationBoundByController = "pv.kubernetes.io/bound-by-controller"

// binderActions are the PV controller's: pkg/controller/volume/persistentvolume of
// Kubernetes 1.36. Each of its writes is a step of its own. It looks at no data source.
func (w *world) binderActions() []action {
	var list []action
	add := func(what string, do func()) { list = append(list, action{"pv-controller", what, 6, do}) }
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if c.Annotations[v1alpha1.AnnotationBindCompleted] == "" {
			w.bindUnbound(c, add)
		} else {
			w.syncBound(c, add)
		}
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		w.syncVolume(v, add)
	}
	return list
}

func (w *world) bindUnbound(c *corev1.PersistentVolumeClaim, add func(string, func())) {
	if c.Spec.VolumeName != "" {
		if v := w.volume(c.Spec.VolumeName); v != nil && (v.Spec.ClaimRef == nil || boundTo(v, c)) {
			w.bind(v, c, add)
		}
		return
	}
	matches := w.matches(c)
	switch {
	case len(matches) > 0:
		w.bind(matches[w.stable(len(matches))], c, add)
	case w.late() && c.Annotations[v1alpha1.AnnotationSelectedNode] == "":
	case c.Annotations[v1alpha1.AnnotationStorageProvisioner] == "":
		add("asks for a volume for "+c.Name, func() {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) {
				annotate(c, v1alpha1.AnnotationStorageProvisioner, driver)
			})
		})
	}
}

// stable varies which match is taken, without a choice for every look.
func (w *world) stable(n int) int { return w.version % n }

// matches are volumes that are bound to the claim already, or else free ones that fit.
func (w *world) matches(c *corev1.PersistentVolumeClaim) []*corev1.PersistentVolume {
	var free []*corev1.PersistentVolume
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		switch {
		case !fits(v, c):
		case v.Spec.ClaimRef != nil && boundTo(v, c):
			return []*corev1.PersistentVolume{v}
		case v.Spec.ClaimRef == nil && v.Status.Phase == corev1.VolumeAvailable && !w.late():
			free = append(free, v)
		}
	}
	return free
}

// boundTo tells that a volume's claimRef names a claim; without a UID any of that name.
func boundTo(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	ref := v.Spec.ClaimRef
	return ref != nil && ref.Name == c.Name && ref.Namespace == c.Namespace && (ref.UID == "" || ref.UID == c.UID)
}

func fits(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	have, want := v.Spec.Capacity[corev1.ResourceStorage], c.Spec.Resources.Requests[corev1.ResourceStorage]
	return v.DeletionTimestamp == nil && have.Cmp(want) >= 0
}

// bind makes the next of the four writes that bind a claim.
func (w *world) bind(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim, add func(string, func())) {
	switch {
	case v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID == "":
		add("binds volume "+v.Name+" to "+c.Name, func() { w.install(v, c) })
	case v.Status.Phase != corev1.VolumeBound:
		add("says that volume "+v.Name+" is Bound", func() { w.volumePhase(v, corev1.VolumeBound) })
	case c.Spec.VolumeName == "" || c.Annotations[v1alpha1.AnnotationBindCompleted] == "":
		add("binds "+c.Name+" to volume "+v.Name, func() {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) {
				c.Spec.VolumeName = v.Name
				annotate(c, v1alpha1.AnnotationBindCompleted, "yes")
			})
		})
	case c.Status.Phase != corev1.ClaimBound:
		add("says that "+c.Name+" is Bound", func() {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound })
		})
	}
}

// install writes the claimRef, and that it was a controller who chose, unless the volume
// was meant for a claim of that name before.
func (w *world) install(v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) {
	edit(w.server, v, func(v *corev1.PersistentVolume) {
		if v.Spec.ClaimRef == nil {
			annotate(v, annotationBoundByController, "yes")
		}
		v.Spec.ClaimRef = &corev1.ObjectReference{
			APIVersion: "v1",
			Kind:       "PersistentVolumeClaim",
			Namespace:  c.Namespace,
			Name:       c.Name,
			UID:        c.UID,
		}
	})
}

func (w *world) volumePhase(v *corev1.PersistentVolume, phase corev1.PersistentVolumePhase) {
	edit(w.server, v, func(v *corev1.PersistentVolume) { v.Status.Phase = phase })
}

func (w *world) syncBound(c *corev1.PersistentVolumeClaim, add func(string, func())) {
	v := w.volume(c.Spec.VolumeName)
	switch {
	case v != nil && (v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID == c.UID):
		w.bind(v, c, add)
	case c.Status.Phase != corev1.ClaimLost:
		add("says that "+c.Name+" is Lost", func() {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimLost })
		})
	}
}

func (w *world) syncVolume(v *corev1.PersistentVolume, add func(string, func())) {
	ref := v.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		if v.Status.Phase != corev1.VolumeAvailable {
			add("says that volume "+v.Name+" is Available", func() { w.volumePhase(v, corev1.VolumeAvailable) })
		}
		return
	}
	c := w.claimOf(ref.UID)
	released := v.Status.Phase == corev1.VolumeReleased || v.Status.Phase == corev1.VolumeFailed
	switch {
	case c == nil && !released:
		add("releases volume "+v.Name, func() { w.volumePhase(v, corev1.VolumeReleased) })
	case c == nil || c.Spec.VolumeName == "":
	case c.Spec.VolumeName == v.Name && v.Status.Phase != corev1.VolumeBound:
		add("says that volume "+v.Name+" is Bound", func() { w.volumePhase(v, corev1.VolumeBound) })
	case c.Spec.VolumeName != v.Name:
		w.superfluous(v, released, add)
	}
}

// superfluous volumes name a claim that is bound to another one.
func (w *world) superfluous(v *corev1.PersistentVolume, released bool, add func(string, func())) {
	if v.Annotations[v1alpha1.AnnotationProvisionedBy] != "" &&
		v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		if !released {
			add("releases volume "+v.Name, func() { w.volumePhase(v, corev1.VolumeReleased) })
		}
		return
	}
	add("unbinds volume "+v.Name, func() {
		edit(w.server, v, func(v *corev1.PersistentVolume) {
			if v.Annotations[annotationBoundByController] != "" {
				v.Spec.ClaimRef = nil
				delete(v.Annotations, annotationBoundByController)
			} else {
				v.Spec.ClaimRef.UID = ""
			}
			v.Status.Phase = corev1.VolumeAvailable
		})
	})
}

// annotate writes into an object that is the caller's own copy.
func annotate(o client.Object, name, value string) {
	all := o.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	all[name] = value
	o.SetAnnotations(all)
}
