// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// by makes the export one that reads a volume of its own. Everything is there to make that one.
func by(consistency v1alpha1.Consistency) change {
	return func(s *State) {
		s.Export.Spec.Consistency = consistency
		s.Claim.Spec.StorageClassName, s.Claim.Spec.VolumeName = new("fast"), "pv-1"
		s.Claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		s.Temporary.Source = &corev1.PersistentVolume{}
		s.Temporary.Source.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "csi.test"}
		s.Temporary.Class = &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.test",
			ReclaimPolicy: new(corev1.PersistentVolumeReclaimDelete),
		}
		s.Temporary.SnapshotClasses = []SnapshotClass{{Name: "snaps", Driver: "csi.test", Default: true, Deletes: true}}
	}
}

// snapshotted is one whose snapshot was asked for a second ago.
func snapshotted(changes ...func(*Snapshot)) change {
	return func(s *State) {
		made := TemporaryMeta(*s)
		made.UID, made.CreationTimestamp = "s-1", ago(time.Second)
		s.Temporary.Snapshot = &Snapshot{ObjectMeta: made, ClaimName: "data"}
		for _, c := range changes {
			c(s.Temporary.Snapshot)
		}
	}
}

func ready(s *Snapshot) { s.Ready, s.Size = true, new(resource.MustParse("2Gi")) }

// copied has a temporary claim that was made a second ago and is not bound.
func copied(changes ...func(*corev1.PersistentVolumeClaim)) change {
	return func(s *State) {
		c := TemporaryClaim(*s)
		c.UID, c.CreationTimestamp = "t-1", ago(time.Second)
		for _, change := range changes {
			change(c)
		}
		s.Temporary.Claim = c
	}
}

func isBound(c *corev1.PersistentVolumeClaim) {
	c.Spec.VolumeName, c.Status.Phase = "pv-2", corev1.ClaimBound
}

// onVolume is what the temporary claim is bound to: made for it, unless it is changed.
func onVolume(changes ...func(*corev1.PersistentVolume)) change {
	return func(s *State) {
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{
			Name: "pv-2", Annotations: map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.test"},
		}}
		v.Spec.ClaimRef = &corev1.ObjectReference{UID: "t-1"}
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		for _, c := range changes {
			c(v)
		}
		s.Temporary.Volume = v
	}
}

func wasFree(v *corev1.PersistentVolume) {
	v.Annotations[v1alpha1.AnnotationBoundByController] = "yes"
}

func keptVolume(v *corev1.PersistentVolume) {
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
}

func hasFree(s *State) { s.Temporary.Free = "pv-9" }

func waitsForPod(s *State) {
	s.Temporary.Class.VolumeBindingMode = new(storagev1.VolumeBindingWaitForFirstConsumer)
}

func consumer(changes ...func(*corev1.Pod)) change {
	return func(s *State) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: moverpod.ConsumerName("e-1"), UID: "p-1", CreationTimestamp: ago(time.Second),
			Labels: map[string]string{v1alpha1.LabelExportUID: "e-1", v1alpha1.LabelRole: v1alpha1.RoleConsumer},
		}}
		for _, c := range changes {
			c(p)
		}
		s.Temporary.Consumer = p
	}
}

func old(p *corev1.Pod) { p.CreationTimestamp = ago(time.Hour) }

func unscheduled(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes",
	}}
}

// readsCopy is a mover of the temporary claim.
func readsCopy(p *corev1.Pod) {
	p.Annotations[v1alpha1.AnnotationTemporaryUID], p.Annotations[v1alpha1.AnnotationNode] = "t-1", ""
}

func strange(o metav1.Object) { o.SetLabels(map[string]string{"app": "theirs"}) }
func going(o metav1.Object)   { o.SetDeletionTimestamp(new(ago(time.Second))) }
func aged(o metav1.Object)    { o.SetCreationTimestamp(ago(time.Hour)) }

func madeFor(age time.Duration) func(*Snapshot) {
	return func(s *Snapshot) { s.CreationTimestamp = ago(age) }
}

// goesFor is what was told to go, and is kept.
func goesFor(age time.Duration) func(metav1.Object) {
	return func(o metav1.Object) {
		o.SetDeletionTimestamp(new(ago(age)))
		o.SetFinalizers([]string{"storage/x"})
	}
}

func ofAnother(o metav1.Object) {
	labels := maps.Clone(o.GetLabels())
	labels[v1alpha1.LabelClaimUID] = "c-0"
	o.SetLabels(labels)
}

// snap and pvc adapt what is common to all objects.
func snap(c func(metav1.Object)) func(*Snapshot) { return func(s *Snapshot) { c(&s.ObjectMeta) } }

func pvc(c func(metav1.Object)) func(*corev1.PersistentVolumeClaim) {
	return func(p *corev1.PersistentVolumeClaim) { c(p) }
}
