// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// provisionerActions are external-provisioner's: it makes volumes for claims without a data
// source of another's, takes its time, and destroys what was released and may be deleted.
func (w *world) provisionerActions() []action {
	var list []action
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if !w.toProvision(c) {
			continue
		}
		if !w.poolFull {
			list = append(
				list,
				action{"provisioner", "begins to make a volume for " + c.Name, 6, func() { w.making[c.UID] = c }},
			)
		} else if w.late() {
			list = append(list, action{"provisioner", "gives up the node of " + c.Name, 2, func() {
				edit(w.server, c, func(c *corev1.PersistentVolumeClaim) { delete(c.Annotations, v1alpha1.AnnotationSelectedNode) })
			}})
		}
	}
	for _, c := range w.underWay() {
		list = append(list, action{"provisioner", "has made a volume for " + c.Name, 4, func() { w.provision(c) }})
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		if w.toDestroy(v) {
			list = append(list, action{"provisioner", "destroys volume " + v.Name, 6, func() { w.destroy(v) }})
		}
	}
	return list
}

func (w *world) toProvision(c *corev1.PersistentVolumeClaim) bool {
	if c.Spec.DataSourceRef != nil || c.Spec.VolumeName != "" ||
		c.Annotations[v1alpha1.AnnotationStorageProvisioner] == "" ||
		w.making[c.UID] != nil {
		return false
	}
	return !w.late() || c.Annotations[v1alpha1.AnnotationSelectedNode] != ""
}

func (w *world) underWay() []*corev1.PersistentVolumeClaim {
	var list []*corev1.PersistentVolumeClaim
	for _, c := range w.making {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *corev1.PersistentVolumeClaim) int { return cmpString(string(a.UID), string(b.UID)) })
	return list
}

// provision makes the volume of the claim as it was when that began; it may be gone by now.
func (w *world) provision(c *corev1.PersistentVolumeClaim) {
	delete(w.making, c.UID)
	name := "pvc-" + string(c.UID)
	if w.volume(name) != nil {
		return
	}
	v := newVolume(name, w.setting.policy, w.setting.mode)
	v.Annotations = map[string]string{v1alpha1.AnnotationProvisionedBy: driver}
	v.Spec.ClaimRef = &corev1.ObjectReference{
		APIVersion: "v1",
		Kind:       "PersistentVolumeClaim",
		Namespace:  c.Namespace,
		Name:       c.Name,
		UID:        c.UID,
	}
	w.must(w.create(v))
	w.contents[v.UID] = &content{state: empty}
}

func newVolume(
	name string,
	policy corev1.PersistentVolumeReclaimPolicy,
	mode corev1.PersistentVolumeAccessMode,
) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName:              className,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: quantity.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{mode},
			PersistentVolumeReclaimPolicy: policy,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: name},
			},
		},
	}
}

// toDestroy: only what it made itself, was released, may be deleted and is attached nowhere.
func (w *world) toDestroy(v *corev1.PersistentVolume) bool {
	return v.Status.Phase == corev1.VolumeReleased &&
		v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
		v.Annotations[v1alpha1.AnnotationProvisionedBy] == driver &&
		!w.attached(v.Name)
}

func (w *world) attached(volume string) bool {
	for _, a := range all[*storagev1.VolumeAttachment](w.server) {
		if *a.Spec.Source.PersistentVolumeName == volume {
			return true
		}
	}
	return false
}

func (w *world) destroy(v *corev1.PersistentVolume) {
	w.play.destroys(v)
	delete(w.contents, v.UID)
	edit(w.server, v, func(v *corev1.PersistentVolume) {
		v.Finalizers = nil
		v.DeletionTimestamp = &metav1.Time{Time: w.now}
	})
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
