// SPDX-License-Identifier: Apache-2.0

// Package class builds the cluster objects by which tests use the CSI driver. It only builds;
// whoever calls it creates and deletes.
package class

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/s3populator/s3populator/e2e/csi/driver"
)

// Driver describes the driver to the cluster: nothing is attached, and the kubelet gives a volume's
// files to the pod's fsGroup.
func Driver() *storagev1.CSIDriver {
	return &storagev1.CSIDriver{
		TypeMeta:   metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver"},
		ObjectMeta: metav1.ObjectMeta{Name: driver.Name},
		Spec: storagev1.CSIDriverSpec{
			AttachRequired:       new(false),
			PodInfoOnMount:       new(false),
			StorageCapacity:      new(false),
			FSGroupPolicy:        new(storagev1.FileFSGroupPolicy),
			VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent},
		},
	}
}

// Storage is a StorageClass whose volumes can be expanded.
func Storage(
	name string,
	binding storagev1.VolumeBindingMode,
	reclaim corev1.PersistentVolumeReclaimPolicy,
	parameters map[string]string,
) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		TypeMeta:             metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"},
		ObjectMeta:           metav1.ObjectMeta{Name: name},
		Provisioner:          driver.Name,
		VolumeBindingMode:    new(binding),
		ReclaimPolicy:        new(reclaim),
		AllowVolumeExpansion: new(true),
		Parameters:           parameters,
	}
}

// Attributes is a VolumeAttributesClass that sets the driver's only mutable parameter; tier is
// "standard" or "fast", anything else is refused by the driver.
func Attributes(name, tier string) *storagev1.VolumeAttributesClass {
	return &storagev1.VolumeAttributesClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "VolumeAttributesClass"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		DriverName: driver.Name,
		Parameters: map[string]string{driver.AttributeTier: tier},
	}
}

// Snapshot is a VolumeSnapshotClass. Its API is a custom resource, so it has no type in k8s.io/api.
func Snapshot(name string, deletion corev1.PersistentVolumeReclaimPolicy) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion":     "snapshot.storage.k8s.io/v1",
		"kind":           "VolumeSnapshotClass",
		"metadata":       map[string]any{"name": name},
		"driver":         driver.Name,
		"deletionPolicy": string(deletion),
	}}
}
