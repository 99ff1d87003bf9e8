// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

func volume(name string, claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			ResourceVersion: "30",
			Annotations:     map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}
}

func onVolume(f func(*corev1.PersistentVolume)) change {
	return func(s *State) {
		if s.PrimeVolume != nil {
			f(s.PrimeVolume)
		}
	}
}

var (
	retained = onVolume(func(v *corev1.PersistentVolume) {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	})
	retainedByHand = onVolume(func(v *corev1.PersistentVolume) { // Of a class that deletes, after it was marked.
		v.Annotations[v1alpha1.AnnotationReclaimPolicy] = string(corev1.PersistentVolumeReclaimDelete)
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	})
	reclaimed  = onVolume(func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeReleased })
	stolen     = onVolume(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "somebody" })
	madeByHand = onVolume(func(v *corev1.PersistentVolume) {
		unmarkVolume(v)
		delete(v.Annotations, v1alpha1.AnnotationProvisionedBy)
	})
	unmarked = onVolume(func(v *corev1.PersistentVolume) { delete(v.Annotations, v1alpha1.AnnotationScratchFor) })
	free     = onVolume(func(v *corev1.PersistentVolume) {
		unmarkVolume(v)
		v.Annotations[v1alpha1.AnnotationBoundByController] = "yes"
	})
	freeToDelete = onVolume(func(v *corev1.PersistentVolume) { // An older version of ours took it for its own.
		v.Annotations[v1alpha1.AnnotationBoundByController] = "yes"
	})
	releasing = onVolume(func(v *corev1.PersistentVolume) {
		unmarkVolume(v)
		v.Annotations[v1alpha1.AnnotationBoundByController], v.Annotations[v1alpha1.AnnotationReleasing] = "yes", claimUID
		v.Annotations[v1alpha1.AnnotationReclaimPolicy] = string(corev1.PersistentVolumeReclaimDelete)
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	})
	consumed   = onVolume(func(v *corev1.PersistentVolume) { v.Annotations[v1alpha1.AnnotationAttachedByConsumer] = "a" })
	unclaimed  = onVolume(func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil })
	volumeGoes = onVolume(func(v *corev1.PersistentVolume) { v.DeletionTimestamp = new(metav1.NewTime(noon)) })
	tooSmall   = onVolume(
		func(v *corev1.PersistentVolume) { v.Spec.Capacity[corev1.ResourceStorage] = resource.MustParse("1Mi") },
	)
	otherVAC = onVolume(func(v *corev1.PersistentVolume) { v.Spec.VolumeAttributesClassName = new("gold") })
)

func unmarkVolume(v *corev1.PersistentVolume) {
	delete(v.Annotations, v1alpha1.AnnotationScratchFor)
}

// remembered is what the claim knows of a prime whose volume was not ours.
func remembered(n NextPrime) change {
	return func(s *State) {
		n.Claim = claimUID
		s.Claim.Annotations[v1alpha1.AnnotationNextPrime] = encoded(n)
	}
}

var (
	knowsCapture = remembered(NextPrime{Prime: primeUID, Node: "a", Count: 1, Volume: "pv-1"})
	backsOff     = remembered(NextPrime{Prime: primeUID, Count: 1, Volume: "pv-1", After: noon.Add(10 * time.Second)})
	waitedLong   = remembered(NextPrime{Prime: primeUID, Count: 1, Volume: "pv-1", After: noon})
)

// immediately is a class that waits, for a claim that does not.
func immediately(s *State) {
	lateClass(s)
	bindNow(s)
}

// withConsumer has a consumer that is placed for the world's source.
func withConsumer(age time.Duration, more ...func(*corev1.Pod)) change {
	return func(s *State) {
		source := world().Source
		s.Consumer = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: ConsumerName(s.Claim), Namespace: "team", UID: "consumer-uid", Labels: labels(s.Claim, v1alpha1.RoleConsumer),
				OwnerReferences:   []metav1.OwnerReference{ownerReference(s.Claim)},
				CreationTimestamp: metav1.NewTime(noon.Add(-age)),
				Annotations:       map[string]string{v1alpha1.AnnotationPodHash: PodHash(source)},
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: moverpod.ConsumerContainer}}},
		}
		for _, f := range more {
			f(s.Consumer)
		}
	}
}

func placedOnA(p *corev1.Pod)  { p.Spec.NodeName = "a" }
func unlabelled(p *corev1.Pod) { p.Labels, p.OwnerReferences = nil, nil }
func unschedulable(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes"},
	}
}

func consumerDone(p *corev1.Pod) {
	placedOnA(p)
	p.Status.Phase = corev1.PodSucceeded
	p.Status.ContainerStatuses = []corev1.ContainerStatus{
		{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
	}
}

func goingSince(ago time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		placedOnA(p)
		p.DeletionTimestamp = new(metav1.NewTime(noon.Add(-ago)))
	}
}

var (
	newConsumer   = withConsumer(time.Second)
	oldConsumer   = withConsumer(time.Hour, unschedulable)
	readyConsumer = withConsumer(time.Second, consumerDone)
)

// attachedTo has the prime's volume attached to a node since a while ago.
func attachedTo(node string, ago time.Duration) change {
	return func(s *State) {
		s.Attachments = []storagev1.VolumeAttachment{{
			ObjectMeta: metav1.ObjectMeta{Name: "csi-" + node, CreationTimestamp: metav1.NewTime(noon.Add(-ago))},
			Spec:       storagev1.VolumeAttachmentSpec{NodeName: node},
		}}
	}
}
