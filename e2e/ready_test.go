// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// A source that cannot be read says why, with a reason of its own and what to change.
func TestSourceNotReady(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	plain := s.Bucket(story.MinIO).Put(story.Small("", 3))
	secure := s.Bucket(story.MinIOTLS).Put(story.Small("", 3))
	wrong := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "wrong", Namespace: s.Namespace},
		StringData: map[string]string{"access_key": plain.Server.AccessKey, "secret_key": "not-the-secret-key"},
	}
	half := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "half", Namespace: s.Namespace},
		StringData: map[string]string{"access_key": plain.Server.AccessKey},
	}
	s.Create(wrong)
	s.Create(half)
	credentials := func(name string) func(*v1alpha1.S3Source) {
		return func(o *v1alpha1.S3Source) { o.Spec.Credentials.SecretRef.Name = name }
	}
	tests := map[string]struct {
		bucket *story.Bucket
		change func(*v1alpha1.S3Source)
		reason wire.Reason
		says   string
	}{
		"wrong-keys":     {plain, credentials("wrong"), wire.AccessDenied, "wrong"},
		"missing-secret": {plain, credentials("absent"), wire.CredentialsMissing, "absent"},
		"half-secret":    {plain, credentials("half"), wire.CredentialsMissing, "secret_key"},
		"no-bucket": {
			plain,
			func(o *v1alpha1.S3Source) { o.Spec.Bucket = "no-such-bucket" },
			wire.NoSuchBucket,
			"no-such-bucket",
		},
		"no-endpoint": {
			plain,
			func(o *v1alpha1.S3Source) { o.Spec.Endpoint = "http://" + world.Node.Address() + ":1" },
			wire.EndpointUnreachable,
			":1",
		},
		"no-such-host": {
			plain,
			func(o *v1alpha1.S3Source) { o.Spec.Endpoint = "http://absent.default.svc:9000" },
			wire.EndpointNotResolved,
			"absent.default.svc",
		},
		"unknown-signer": {secure, func(o *v1alpha1.S3Source) { o.Spec.TLS = nil }, wire.CertificateInvalid, "spec.tls"},
		"no-object": {
			plain,
			func(o *v1alpha1.S3Source) { o.Spec.Objects = []v1alpha1.S3Object{{Key: "absent.bin"}} },
			wire.NoSuchObject,
			"absent.bin",
		},
	}
	for name, test := range tests {
		s.Warnings = append(s.Warnings, string(test.reason))
		s.Source(name, test.bucket, test.change)
	}
	for name, test := range tests {
		source := s.Ready(s.Get(name), metav1.ConditionFalse, string(test.reason))
		if message := source.Status.Conditions[0].Message; !strings.Contains(message, test.says) {
			t.Errorf("source %s does not speak of %q: %s", name, test.says, message)
		}
	}
}

// The inventory of a source is taken anew when its annotation changes, when its spec does,
// and as often as it asks for.
func TestRefresh(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(map[string][]byte{
		"a/1": []byte("1"), "a/2": []byte("22"),
		"b/3": []byte("333"),
	})
	source := s.Source("source", bucket, under("a"))
	s.Source("periodic", bucket, under("b"), func(o *v1alpha1.S3Source) {
		o.Spec.RefreshInterval = &metav1.Duration{Duration: 10 * time.Second}
	})
	holds := func(name string, objects, bytes int64) {
		t.Helper()
		s.Await(fmt.Sprintf("source %s to count %d objects of %d bytes", name, objects, bytes), func() error {
			i := s.Get(name).Status.Inventory
			if i == nil {
				return errors.New("it has no inventory")
			}
			if i.Objects != objects || i.Bytes != bytes {
				return fmt.Errorf("it counts %d of %d", i.Objects, i.Bytes)
			}
			return nil
		})
	}
	holds("source", 2, 3)
	holds("periodic", 1, 3)
	before := s.Get("source").Status.Inventory.Digest
	bucket.Put(map[string][]byte{"a/4": []byte("4444"), "b/5": []byte("55555")})
	story.Update(
		s,
		source,
		func(o *v1alpha1.S3Source) { o.Annotations = map[string]string{v1alpha1.AnnotationRefresh: "1"} },
	)
	holds("source", 3, 7)
	if after := s.Get("source").Status.Inventory.Digest; after == before {
		t.Errorf("other objects, but the same digest %s", after)
	}
	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Prefix = "" })
	holds("source", 5, 15)
	holds("periodic", 2, 8)
}
