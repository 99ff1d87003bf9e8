// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// updated tells whether a change of an object wakes any claim.
func updated(was, is client.Object) bool {
	for _, w := range (&Reconciler{}).watches() {
		if _, ok := w.object.(*storagev1.StorageClass); !ok {
			continue
		}
		passes := true
		for _, p := range w.predicates {
			passes = passes && p.Update(event.UpdateEvent{ObjectOld: was, ObjectNew: is})
		}
		if passes {
			return true
		}
	}
	return false
}

// What the message of UnsupportedStorageClass asks an administrator for wakes the claim.
func TestAVouchedClassWakesItsClaims(t *testing.T) {
	class := func(annotations map[string]string) *storagev1.StorageClass {
		return &storagev1.StorageClass{
			ObjectMeta:  metav1.ObjectMeta{Name: "local", Annotations: annotations},
			Provisioner: "rancher.io/local-path",
		}
	}
	if !updated(class(nil), class(map[string]string{v1alpha1.AnnotationHonoursDataSource: v1alpha1.HonoursDataSource})) {
		t.Error("a class that was vouched for wakes nobody")
	}
	if updated(class(nil), class(map[string]string{"other": "x"})) {
		t.Error("every annotation of a class wakes its claims")
	}
}
