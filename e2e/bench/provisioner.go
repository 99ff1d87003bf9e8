// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// provisioner makes volumes that exist in the API only, for claims of the simulated class,
// and deletes those that are released.
type provisioner struct {
	client client.Client
	kube   kubernetes.Interface
	turns  chan struct{} // bounds the writes under way
}

// writesAtOnce keeps up with a manager of ten workers.
const writesAtOnce = 10

// looksAgain repeats what failed.
const looksAgain = 10 * time.Second

func (p *provisioner) start(ctx context.Context) error {
	p.turns = make(chan struct{}, writesAtOnce)
	factory := informers.NewSharedInformerFactory(p.kube, looksAgain)
	core := factory.Core().V1()
	claims, volumes := core.PersistentVolumeClaims().Informer(), core.PersistentVolumes().Informer()
	_, err := claims.AddEventHandler(onChange(func(o any) {
		if c, ok := o.(*corev1.PersistentVolumeClaim); ok && wantsVolume(c) {
			p.write(ctx, func() error { return client.IgnoreAlreadyExists(p.client.Create(ctx, volumeFor(c))) })
		}
	}))
	if err != nil {
		return fmt.Errorf("watch claims: %w", err)
	}
	_, err = volumes.AddEventHandler(onChange(func(o any) {
		if v, ok := o.(*corev1.PersistentVolume); ok && released(v) {
			p.write(ctx, func() error { return client.IgnoreNotFound(p.client.Delete(ctx, v)) })
		}
	}))
	if err != nil {
		return fmt.Errorf("watch volumes: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return nil
}

func onChange(do func(any)) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{AddFunc: do, UpdateFunc: func(_, now any) { do(now) }}
}

func (p *provisioner) write(ctx context.Context, do func() error) {
	p.turns <- struct{}{}
	go func() {
		defer func() { <-p.turns }()
		if err := do(); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "bench: simulated provisioner:", err)
		}
	}()
}

func wantsVolume(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.DataSourceRef == nil && c.Spec.VolumeName == "" && c.DeletionTimestamp == nil &&
		c.Annotations[v1alpha1.AnnotationStorageProvisioner] == simulatedCSI &&
		c.Spec.StorageClassName != nil &&
		*c.Spec.StorageClassName == simulatedClass // Others wait for ever.
}

func released(v *corev1.PersistentVolume) bool {
	return v.Spec.StorageClassName == simulatedClass && v.Status.Phase == corev1.VolumeReleased &&
		v.DeletionTimestamp == nil
}

func volumeFor(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "pvc-" + string(c.UID),
			Annotations: map[string]string{v1alpha1.AnnotationProvisionedBy: simulatedCSI},
		},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: c.Spec.AccessModes, Capacity: c.Spec.Resources.Requests, StorageClassName: simulatedClass,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1",
				Kind:       "PersistentVolumeClaim",
				Namespace:  c.Namespace,
				Name:       c.Name,
				UID:        c.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: simulatedCSI, VolumeHandle: string(c.UID)},
			},
		},
	}
}
