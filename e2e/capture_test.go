// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/class"
	"github.com/s3populator/s3populator/e2e/story"
)

// A free volume that fits a claim is bound to it by Kubernetes, which looks at no data
// source. The claim then says that its volume was not filled, and the manager leaves that
// volume alone.
func TestCapturedByFreeVolume(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonBoundElsewhere)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	own := class.Storage(s.Namespace, storagev1.VolumeBindingImmediate, corev1.PersistentVolumeReclaimDelete, nil)
	s.Create(own)
	t.Cleanup(func() { s.Remove(own) })
	free := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: s.Namespace},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: own.Name, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("32Mi")},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: "/run/" + s.Namespace},
			},
		},
	}
	s.Create(free)
	s.Await("the volume to be free", func() error { return s.VolumePhase(free.Name, corev1.VolumeAvailable) })
	s.AbandonToBinder("data")
	claim := s.Claim(story.Claim{Source: "source", Class: own.Name})
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonBoundElsewhere), free.Name)
	s.NeverMade(claim)
	s.UnwrittenByManager(free)
	s.Delete(claim)
	s.Gone(claim)
	s.Remove(free)
}
