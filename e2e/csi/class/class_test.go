// SPDX-License-Identifier: Apache-2.0

package class

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

func TestObjects(t *testing.T) {
	tests := map[string]struct {
		object any
		want   string
	}{
		"driver": {
			object: Driver(),
			want: `{"apiVersion":"storage.k8s.io/v1","kind":"CSIDriver","metadata":{"name":"csi.s3populator.test"},"spec":{"attachRequired":false,` +
				`"podInfoOnMount":false,"volumeLifecycleModes":["Persistent"],"storageCapacity":false,"fsGroupPolicy":"File"}}`,
		},
		"storage class": {
			object: Storage(
				"wait",
				storagev1.VolumeBindingWaitForFirstConsumer,
				corev1.PersistentVolumeReclaimRetain,
				map[string]string{"bytesPerInode": "65536"},
			),
			want: `{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"wait"},"provisioner":"csi.s3populator.test",` +
				`"parameters":{"bytesPerInode":"65536"},"reclaimPolicy":"Retain","allowVolumeExpansion":true,"volumeBindingMode":"WaitForFirstConsumer"}`,
		},
		"attributes class": {
			object: Attributes("fast", "fast"),
			want: `{"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttributesClass","metadata":{"name":"fast"},"driverName":"csi.s3populator.test",` +
				`"parameters":{"tier":"fast"}}`,
		},
		"snapshot class": {
			object: Snapshot("snap", corev1.PersistentVolumeReclaimDelete),
			want: `{"apiVersion":"snapshot.storage.k8s.io/v1","deletionPolicy":"Delete","driver":"csi.s3populator.test","kind":"VolumeSnapshotClass",` +
				`"metadata":{"name":"snap"}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			content, err := json.Marshal(test.object)
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := json.Unmarshal(content, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}
