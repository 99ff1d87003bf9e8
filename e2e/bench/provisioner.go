// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// provisioner makes volumes that exist in the API only, for claims of the simulated class,
// and deletes those that are released.
type provisioner struct {
	client client.Client
	kube   kubernetes.Interface
}

func (p provisioner) run(ctx context.Context) {
	claims, err := p.kube.CoreV1().PersistentVolumeClaims("").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: simulated provisioner:", err)
		return
	}
	defer claims.Stop()
	volumes, err := p.kube.CoreV1().PersistentVolumes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: simulated provisioner:", err)
		return
	}
	defer volumes.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-claims.ResultChan():
			err = p.provision(ctx, e.Object)
		case e := <-volumes.ResultChan():
			err = p.reclaim(ctx, e.Object)
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "bench: simulated provisioner:", err)
		}
	}
}

func (p provisioner) provision(ctx context.Context, o runtime.Object) error {
	c, ok := o.(*corev1.PersistentVolumeClaim)
	if !ok || !wantsVolume(c) {
		return nil
	}
	return client.IgnoreAlreadyExists(p.client.Create(ctx, volumeFor(c)))
}

func (p provisioner) reclaim(ctx context.Context, o runtime.Object) error {
	v, ok := o.(*corev1.PersistentVolume)
	if !ok || v.Spec.StorageClassName != simulatedClass || v.Status.Phase != corev1.VolumeReleased || v.DeletionTimestamp != nil {
		return nil
	}
	return client.IgnoreNotFound(p.client.Delete(ctx, v))
}

func wantsVolume(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.DataSourceRef == nil && c.Spec.VolumeName == "" && c.DeletionTimestamp == nil && c.Annotations[v1alpha1.AnnotationStorageProvisioner] == simulatedCSI
}

func volumeFor(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(c.UID), Annotations: map[string]string{v1alpha1.AnnotationProvisionedBy: simulatedCSI}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: c.Spec.AccessModes, Capacity: c.Spec.Resources.Requests, StorageClassName: simulatedClass,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: simulatedCSI, VolumeHandle: string(c.UID)}},
		},
	}
}
