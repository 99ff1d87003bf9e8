// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A mover that may give nothing away still owns its files as the source says, because it runs
// as their owner; its keys have names of their own, and its pod a ServiceAccount.
func TestOwners(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"VolumeNotWritable"}
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
	s.Create(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "vendor", Namespace: s.Namespace}, StringData: map[string]string{
			"id": bucket.Server.AccessKey, "password": bucket.Server.SecretKey,
		}},
	)
	s.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "puller", Namespace: s.Namespace}})
	s.Source("owned", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Credentials.SecretRef = &v1alpha1.SecretReference{
			Name: "vendor",
			Keys: &v1alpha1.SecretKeys{AccessKey: "id", SecretKey: "password"},
		}
		o.Spec.RequestPayer, o.Spec.Mover.ServiceAccountName = true, "puller"
		o.Spec.Files = &v1alpha1.Files{
			UID:           new(int64(1234)),
			GID:           new(int64(2345)),
			Mode:          new(int32(0o640)),
			DirectoryMode: new(int32(0o750)),
		}
	})
	s.Populated(s.Claim(story.Claim{Name: "owned", Source: "owned"}), bucket.Under(""))

	// With a user of its own that is another one, it says so instead.
	s.Source("given", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Files = &v1alpha1.Files{UID: new(int64(1234))}
		o.Spec.Mover.PodSecurityContext = &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(1000)), FSGroup: new(int64(1000)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	})
	given := s.Claim(story.Claim{Name: "given", Source: "given"})
	s.WaitForCondition(given.Name, "VolumeNotWritable", "spec.files.uid: the mover, which runs as user 1000, may not give")
}
