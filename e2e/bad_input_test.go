// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// Keys that no volume can hold, or that would leave it, end a population with the first
// of them named; a source that says so leaves them out instead.
func TestUnsafeKeys(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.UnsafeKey)}
	s.MayWarn = []string{string(v1alpha1.ReasonMoverPending)} // Ten movers at once may fill the node.
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"set/a/b": []byte("b"), "set/fine.txt": []byte("fine")})
	keys := map[string]string{
		"dotdot": "set/../x", "absolute": "set//abs", "clash": "set/a", "dot": "set/./y",
		"long": "set/" + strings.Repeat("x", 300),
	}
	for name, key := range keys {
		proxy := s.Proxy(bucket)
		proxy.Misbehave(story.Claiming(0, key))
		s.Source(name, bucket, under("set"), through(proxy))
		s.Claim(story.Claim{Name: name, Source: name})
		s.Source(
			name+"-skip",
			bucket,
			under("set"),
			through(proxy),
			func(o *v1alpha1.S3Source) { o.Spec.UnsafeKeys = "Skip" },
		)
		s.Claim(story.Claim{Name: name + "-skip", Source: name + "-skip"})
	}
	for name, key := range keys {
		s.WaitForCondition(name, string(wire.UnsafeKey), key[:min(len(key), 20)])
		claim, _ := s.Bound(name + "-skip")
		s.AssertContent(s.Reader(claim), bucket.Under("set/"))
	}
}

// Data that does not fit ends with both numbers, never with half of it; a source may say
// that the volume grows instead.
func TestTooSmall(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.VolumeTooSmall), string(wire.VolumeOutOfInodes)}
	s.MayWarn = []string{string(v1alpha1.ReasonInventoryPending)}
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"big/one.bin": story.Bytes(1, 20*story.MiB)})
	bucket.Put(story.Small("many/", 300))
	s.Source("big", bucket, under("big"))
	s.Source(
		"growing",
		bucket,
		under("big"),
		func(o *v1alpha1.S3Source) { o.Spec.Sizing.OnTooSmall = v1alpha1.TooSmallGrow },
	)
	s.Source("many", bucket, under("many"))
	few := s.Class(corev1.PersistentVolumeReclaimDelete, map[string]string{driver.ParameterBytesPerInode: "65536"})
	s.Claim(story.Claim{Name: "small", Source: "big", Size: "16Mi"})
	s.Claim(story.Claim{Name: "inodes", Source: "many", Size: "8Mi", Class: few})
	grown := s.Claim(story.Claim{Name: "grown", Source: "growing", Size: "8Mi"})
	_, volume := s.Populated(grown, bucket.Under("big/"))
	if have := volume.Spec.Capacity.Storage().Value(); have < 20*story.MiB {
		t.Errorf("the grown volume has only %d bytes", have)
	}
	s.WaitForCondition("small", string(wire.VolumeTooSmall), "are free of")
	s.WaitForCondition("inodes", string(wire.VolumeOutOfInodes), "the source takes 30")
}

// A class that could only hand out empty volumes is refused: by admission, and where that is
// turned off by the manager, before anything is made.
func TestUnsupportedClass(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonUnsupportedClass), string(v1alpha1.ReasonStorageClassNotFound)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 3))
	s.Source("source", bucket)
	unsupported := map[string]string{}
	for name, provisioner := range map[string]string{
		"manual": "kubernetes.io/no-provisioner", "ignorant": "ignores.example/data-sources",
	} {
		class := &storagev1.StorageClass{
			ObjectMeta:  metav1.ObjectMeta{Name: s.Namespace + "-" + name},
			Provisioner: provisioner,
		}
		s.Create(class)
		t.Cleanup(func() { s.Remove(class) })
		s.Refused(s.NewClaim(story.Claim{Name: name, Source: "source", Class: class.Name}), "cannot be populated")
		unsupported[name] = class.Name
	}
	s.ExemptFromAdmission()
	for name, class := range unsupported {
		claim := s.Claim(story.Claim{Name: name, Source: "source", Class: class})
		s.Condition(name, string(v1alpha1.ReasonUnsupportedClass))
		s.NeverMade(claim)
	}
	late := s.Namespace + "-late"
	claim := s.Claim(story.Claim{Name: "late", Source: "source", Class: late})
	s.Condition("late", string(v1alpha1.ReasonStorageClassNotFound))
	s.ClassNamed(late, corev1.PersistentVolumeReclaimDelete, nil)
	s.Populated(claim, bucket.Under(""))
}

// A failure that its user puts right is tried again: when the source changes, and when the
// claim's annotation says so after a Secret did.
func TestRetry(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.AccessDenied), string(wire.NoSuchBucket)}
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 3))
	wrong := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "wrong", Namespace: s.Namespace},
		StringData: map[string]string{
			"access_key": bucket.Server.AccessKey, "secret_key": "not-the-secret-key",
		},
	}
	s.Create(wrong)
	s.Source("keys", bucket, func(o *v1alpha1.S3Source) { o.Spec.Credentials.SecretRef.Name = wrong.Name })
	source := s.Source("bucket", bucket, func(o *v1alpha1.S3Source) { o.Spec.Bucket = "no-such-bucket" })
	denied := s.Claim(story.Claim{Name: "denied", Source: "keys"})
	missing := s.Claim(story.Claim{Name: "missing", Source: "bucket"})
	s.WaitForCondition("denied", string(wire.AccessDenied), v1alpha1.AnnotationRetry)
	s.WaitForCondition("missing", string(wire.NoSuchBucket), "no-such-bucket")

	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Bucket = bucket.Name })
	story.Update(
		s,
		wrong,
		func(o *corev1.Secret) { o.StringData = map[string]string{"secret_key": bucket.Server.SecretKey} },
	)
	story.Update(s, denied, func(c *corev1.PersistentVolumeClaim) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRetry: "1"}
	})
	for _, claim := range []*corev1.PersistentVolumeClaim{denied, missing} {
		s.Recovered(claim.Name)
		s.AssertContent(s.Reader(claim), bucket.Under(""))
	}
}

// through sends a source's requests through a proxy.
func through(p *story.Proxy) func(*v1alpha1.S3Source) {
	return func(s *v1alpha1.S3Source) { s.Spec.Endpoint = p.Endpoint }
}
