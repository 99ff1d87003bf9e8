// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// While it is filled a claim counts twice. A quota for one says so on the claim, and a
// raised quota lets it go on by itself.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonQuotaExceeded)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "quota", Namespace: s.Namespace},
		Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{
				corev1.ResourcePersistentVolumeClaims: resource.MustParse("1"),
				corev1.ResourceRequestsStorage:        resource.MustParse("1Gi"),
			},
		},
	}
	s.Create(quota)
	s.QuotaCounts(quota)
	s.Await("a claim to be refused", func() error { // What is made before that is not counted.
		large := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "large", Namespace: s.Namespace}}
		large.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		large.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
		err := world.Client.Create(t.Context(), large, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			return errors.Join(errors.New("it is not"), err)
		}
		return nil
	})
	claim := s.Claim(story.Claim{Source: "source"})
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonQuotaExceeded), "counts twice")
	story.Update(s, quota, func(q *corev1.ResourceQuota) {
		q.Spec.Hard[corev1.ResourcePersistentVolumeClaims] = resource.MustParse("2")
	})
	s.Populated(claim, bucket.Under(""))
}

// A LimitRange that bounds containers and claims is kept by what we make.
func TestLimitRange(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Create(&corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "limits", Namespace: s.Namespace},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
			{
				Type: corev1.LimitTypeContainer,
				Max: corev1.ResourceList{
					corev1.ResourceMemory: resource.MustParse("512Mi"),
					corev1.ResourceCPU:    resource.MustParse("1"),
				},
			},
			{
				Type: corev1.LimitTypePersistentVolumeClaim,
				Min:  corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")},
				Max:  corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("64Mi")},
			},
		}},
	})
	s.Source("source", bucket)
	s.Populated(s.Claim(story.Claim{Source: "source"}), bucket.Under(""))
}
