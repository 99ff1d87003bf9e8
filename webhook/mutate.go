// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/internal/sizing"
)

// leastRequest is what a claim without a size asks for until its source is known.
var leastRequest = resource.MustParse("1Mi")

// mutate returns the claim as it should be, which is the same object when nothing changes.
// It may rely on validate having found nothing. Done twice it changes nothing more.
func mutate(s observed) *corev1.PersistentVolumeClaim {
	if s.Ref.Name == "" || s.Left != "" {
		return s.Claim
	}
	after := s.Claim.DeepCopy()
	changed := refer(after, s.Ref.Name)
	if resize(after, s.Source) || changed {
		return after
	}
	return s.Claim
}

// refer names the source. The API server copies it into dataSource.
func refer(claim *corev1.PersistentVolumeClaim, name string) bool {
	if claim.Spec.DataSourceRef != nil {
		return false
	}
	claim.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new(v1alpha1.Group),
		Kind:     v1alpha1.KindS3Source,
		Name:     name,
	}
	return true
}

// resize fills in an absent request, and marks a claim whose volume may be larger than it
// asks for. A request that the user wrote is never changed: the next apply of the same
// manifest would put it back, and be refused as a shrink.
//
//	claim asks for it    has a size    inventory    then
//	no                   yes           any          - a source that says Grow needs no mark
//	yes                  yes           any          let the prime grow
//	any                  no            known        request what is needed, and let the prime grow
//	any                  no            none yet     request the least, and let the prime grow
func resize(claim *corev1.PersistentVolumeClaim, source *v1alpha1.S3Source) bool {
	_, sized := size(claim)
	if sized && !annotated.AutoSize(claim) {
		return false
	}
	if need, known := needed(source); !sized && known {
		setSize(claim, need)
	} else if !sized {
		setSize(claim, leastRequest)
	}
	if claim.Annotations[v1alpha1.AnnotationGrowTo] == v1alpha1.GrowToInventory {
		return !sized
	}
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	claim.Annotations[v1alpha1.AnnotationGrowTo] = v1alpha1.GrowToInventory
	return true
}

// size is the storage that a claim requests.
func size(claim *corev1.PersistentVolumeClaim) (resource.Quantity, bool) {
	request, ok := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return request, ok && !request.IsZero()
}

func setSize(claim *corev1.PersistentVolumeClaim, request resource.Quantity) {
	if claim.Spec.Resources.Requests == nil {
		claim.Spec.Resources.Requests = corev1.ResourceList{}
	}
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = request
}

// needed is the request that holds what a source held when it was last listed.
func needed(source *v1alpha1.S3Source) (resource.Quantity, bool) {
	if source == nil || source.Status.Inventory == nil {
		return resource.Quantity{}, false
	}
	return sizing.Request(source.Status.Inventory.Bytes, source.Spec.Sizing.OveragePercent), true
}
