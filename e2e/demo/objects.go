// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

const (
	namespace  = "demo"
	sourceName = "imagenet"
	claimName  = "data"
)

// secondClaim is offered to people who keep the cluster.
const secondClaim = `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: second
  namespace: ` + namespace + `
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ` + story.ImmediateDelete + `
  resources: {requests: {storage: 1Gi}}
  dataSourceRef: {apiGroup: s3populator.io, kind: S3Source, name: ` + sourceName + `}
`

// apply makes what a user would: four objects in a namespace of theirs.
func (d *demo) apply(ctx context.Context, data *dataset) error {
	for _, o := range userObjects(data) {
		if err := client.IgnoreAlreadyExists(d.world.Client.Create(ctx, o)); err != nil {
			return fmt.Errorf("create %s: %w", o.GetName(), err)
		}
	}
	return nil
}

func userObjects(data *dataset) []client.Object {
	return []client.Object{
		&corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{
				Name:   namespace,
				Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
			},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s3-keys", Namespace: namespace}, StringData: map[string]string{
			"access_key": data.server.AccessKey, "secret_key": data.server.SecretKey,
		}},
		&v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Name: sourceName, Namespace: namespace}, Spec: v1alpha1.S3SourceSpec{
			S3Location: v1alpha1.S3Location{
				Endpoint: data.server.Endpoint, Bucket: bucket,
				Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3-keys"}},
			},
			Prefix: prefix,
		}},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: claimName, Namespace: namespace},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				StorageClassName: new(story.ImmediateDelete),
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
				DataSourceRef: &corev1.TypedObjectReference{
					APIGroup: new(v1alpha1.Group),
					Kind:     v1alpha1.KindS3Source,
					Name:     sourceName,
				},
			},
		},
	}
}

// remove deletes the claim and waits until nothing of it is left.
func (d *demo) remove(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if err := d.world.Client.Delete(ctx, claim); err != nil {
		return fmt.Errorf("delete claim: %w", err)
	}
	return d.until(ctx, "the claim and its volume to go", func() (bool, error) {
		var volumes corev1.PersistentVolumeList
		err := d.world.Client.List(ctx, &volumes)
		for i := range volumes.Items {
			if ref := volumes.Items[i].Spec.ClaimRef; ref != nil && ref.Namespace == namespace {
				return false, err
			}
		}
		return true, err
	})
}
