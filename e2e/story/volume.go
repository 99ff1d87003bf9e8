// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/class"
)

// Volume looks at a PersistentVolume as it was last seen.
func (s *Story) Volume(name string, look func(*corev1.PersistentVolume) error) error {
	v := &corev1.PersistentVolume{}
	if !seen(s.World.Seen, "", name, v) {
		return errors.New("there is no volume " + name)
	}
	return look(v)
}

// VolumePhase tells when a volume is not in a phase.
func (s *Story) VolumePhase(name string, want corev1.PersistentVolumePhase) error {
	return s.Volume(name, func(v *corev1.PersistentVolume) error {
		if v.Status.Phase != want {
			return fmt.Errorf("volume %s is %s", name, v.Status.Phase)
		}
		return nil
	})
}

// Released waits until a volume that a claim had is kept without it; one that is gone was not.
func (s *Story) Released(name string) {
	s.T.Helper()
	s.Await("volume "+name+" to be kept", func() error {
		if !seen(s.World.Seen, "", name, &corev1.PersistentVolume{}) {
			return fmt.Errorf("%w: it is gone", errNever)
		}
		return s.VolumePhase(name, corev1.VolumeReleased)
	})
}

// Reclaim lets a retained volume go, as an administrator would.
func (s *Story) Reclaim(volume *corev1.PersistentVolume) {
	s.T.Helper()
	Update(s, volume.DeepCopy(), func(v *corev1.PersistentVolume) {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	})
}

// ReclaimOrphans lets go what Orphaned found, and whatever a provisioner still makes for a claim
// that it has not seen go.
func (s *Story) ReclaimOrphans(claim *corev1.PersistentVolumeClaim) {
	s.T.Helper()
	s.Orphaned(claim)
	s.Await("the volumes that were made for claim "+claim.Name+" to go", func() error {
		var volumes corev1.PersistentVolumeList
		if err := s.World.Client.List(s.T.Context(), &volumes); err != nil {
			return err
		}
		var left []string
		for i, v := range volumes.Items {
			if ref := v.Spec.ClaimRef; ref == nil || !strings.HasSuffix(ref.Name, string(claim.UID)) {
				continue
			}
			if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
				s.Reclaim(&volumes.Items[i])
			}
			left = append(left, v.Name)
		}
		prime := client.ObjectKey{Namespace: claim.Namespace, Name: "s3prime-" + string(claim.UID)}
		err := s.World.Client.Get(s.T.Context(), prime, &corev1.PersistentVolumeClaim{})
		if len(left) > 0 || !apierrors.IsNotFound(err) {
			return fmt.Errorf("left are volumes %v; asked for the prime: %w", left, err)
		}
		return nil
	})
}

// Orphaned waits for the volume that was made for the prime of a claim which is gone, and
// for the event that tells of it.
func (s *Story) Orphaned(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	s.T.Helper()
	var found *corev1.PersistentVolume
	s.Await("the volume that was made for claim "+claim.Name+" to be reported", func() error {
		var volumes corev1.PersistentVolumeList
		if err := s.World.Client.List(s.T.Context(), &volumes); err != nil {
			return err
		}
		for i, v := range volumes.Items {
			if ref := v.Spec.ClaimRef; ref == nil || !strings.HasSuffix(ref.Name, string(claim.UID)) {
				continue
			}
			var told corev1.EventList
			if err := s.World.Client.List(s.T.Context(), &told, client.MatchingFields{
				"involvedObject.uid": string(v.UID), "reason": string(v1alpha1.ReasonVolumeOrphaned),
			}); err != nil {
				return err
			}
			if len(told.Items) == 0 {
				return fmt.Errorf("volume %s is %s and nobody was told", v.Name, v.Status.Phase)
			}
			found = &volumes.Items[i]
			return nil
		}
		return errors.New("there is none")
	})
	return found
}

// DeviceSum is the checksum of the first bytes of a Block claim's device, as a second pod
// reads them.
func (s *Story) DeviceSum(claim *corev1.PersistentVolumeClaim, size int64) string {
	s.T.Helper()
	pod := s.pod("read-"+claim.Name, PodSpec(claim.Name, true, false, "sha256-device", devicePath, fmt.Sprint(size)))
	sum := strings.TrimSpace(string(s.output(pod)))
	s.Delete(pod)
	return sum
}

// StatefulSet runs replicas that do nothing but hold a claim each, named data-NAME-N.
func (s *Story) StatefulSet(
	name string,
	replicas int32,
	claim Claim,
	changes ...func(*appsv1.StatefulSet),
) *appsv1.StatefulSet {
	s.T.Helper()
	labels := map[string]string{"app": name}
	pod := PodSpec("", false, false, "sleep")
	pod.RestartPolicy, pod.Volumes = corev1.RestartPolicyAlways, nil
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace},
		Spec: appsv1.StatefulSetSpec{
			Replicas: new(
				replicas,
			), Selector: &metav1.LabelSelector{MatchLabels: labels}, PodManagementPolicy: appsv1.ParallelPodManagement,
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{
				{
					ObjectMeta: metav1.ObjectMeta{Name: "data", Annotations: claim.Annotations, Labels: claim.Labels},
					Spec:       claim.Spec(),
				},
			},
		},
	}
	for _, change := range changes {
		change(set)
	}
	s.Create(set)
	return set
}

// DeletesClaims lets a set delete a claim when it has no more need of it.
func DeletesClaims(set *appsv1.StatefulSet) {
	set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenScaled:  appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
		WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	}
}

// Shrink scales a set down and waits until the pods that are too many are gone.
func (s *Story) Shrink(set *appsv1.StatefulSet, replicas int32) {
	s.T.Helper()
	before := *set.Spec.Replicas
	s.Scale(set, replicas)
	for i := replicas; i < before; i++ {
		name := fmt.Sprintf("%s-%d", set.Name, i)
		s.Await("pod "+name+" to be gone", func() error {
			if seen(s.World.Seen, s.Namespace, name, &corev1.Pod{}) {
				return errors.New("it is still there")
			}
			return nil
		})
	}
}

// ReadAgain hands a volume that was released to a claim without a source, as an administrator does
// to get at what it holds, and asserts that nothing is lost. The volume goes with that claim. It is never free: other
// stories have claims of its class, and one of them would get it.
func (s *Story) ReadAgain(volume *corev1.PersistentVolume, want Content) {
	s.T.Helper()
	claim := s.NewClaim(Claim{Name: "again-" + volume.Spec.StorageClassName, Class: volume.Spec.StorageClassName})
	Update(s, volume, func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name}
	})
	claim.Spec.VolumeName = volume.Name
	s.Create(claim)
	s.AssertContent(s.Reader(claim), want)
	s.Reclaim(volume)
	s.Delete(claim)
}

// Class makes a storage class of this story's own.
func (s *Story) Class(reclaim corev1.PersistentVolumeReclaimPolicy, parameters map[string]string) (name string) {
	s.T.Helper()
	return s.ClassNamed(s.Namespace, reclaim, parameters)
}

// ClassNamed makes a storage class that goes with the story.
func (s *Story) ClassNamed(
	name string,
	reclaim corev1.PersistentVolumeReclaimPolicy,
	parameters map[string]string,
) string {
	s.T.Helper()
	c := class.Storage(name, storagev1.VolumeBindingImmediate, reclaim, parameters)
	s.Create(c)
	s.T.Cleanup(func() { s.Remove(c) })
	return name
}
