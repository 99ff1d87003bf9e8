// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Names of the objects beside a source.
const (
	SecretName    = "s3"
	AuthorityName = "s3-ca"
)

// Source makes an S3Source for a bucket, with the Secret and, for TLS, the ConfigMap that
// it needs. Changes are made before it is created.
func (s *Story) Source(name string, b *Bucket, changes ...func(*v1alpha1.S3Source)) *v1alpha1.S3Source {
	s.T.Helper()
	secret := SecretName + "-" + b.Name
	s.ensure(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret, Namespace: s.Namespace}, StringData: map[string]string{
			"access_key": b.Server.AccessKey, "secret_key": b.Server.SecretKey,
		}},
	)
	source := &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace},
		Spec: v1alpha1.S3SourceSpec{S3Location: v1alpha1.S3Location{
			Endpoint: b.Server.Endpoint, Bucket: b.Name,
			Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: secret}},
		}},
	}
	if b.Server.CABundle != nil {
		s.ensure(
			&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: AuthorityName, Namespace: s.Namespace},
				Data:       map[string]string{"ca.crt": string(b.Server.CABundle)},
			},
		)
		source.Spec.TLS = &v1alpha1.TLS{
			CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: AuthorityName}}},
		}
	}
	for _, change := range changes {
		change(source)
	}
	s.Create(source)
	return source
}

// ensure makes an object unless it is there.
func (s *Story) ensure(o client.Object) {
	s.T.Helper()
	if err := s.World.Client.Create(s.T.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
		s.T.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

// Ready waits for a verdict on a source, as the story has last written it, and returns it. Reason "" takes any.
func (s *Story) Ready(source *v1alpha1.S3Source, status metav1.ConditionStatus, reason string) *v1alpha1.S3Source {
	s.T.Helper()
	now := &v1alpha1.S3Source{}
	s.Await(fmt.Sprintf("S3Source %s to be Ready=%s %s", source.Name, status, reason), func() error {
		if !seen(s.World.Seen, s.Namespace, source.Name, now) {
			return errors.New("it is not there")
		}
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil {
			return errors.New("it has no condition")
		}
		if c.Status != status || reason != "" && c.Reason != reason || c.ObservedGeneration != now.Generation ||
			now.Generation < source.Generation {
			return fmt.Errorf(
				"Ready is %s %s for generation %d of %d: %s",
				c.Status,
				c.Reason,
				c.ObservedGeneration,
				now.Generation,
				c.Message,
			)
		}
		return nil
	})
	return now
}

// Get reads a source.
func (s *Story) Get(name string) *v1alpha1.S3Source {
	s.T.Helper()
	source := &v1alpha1.S3Source{}
	s.must(
		"read S3Source "+name,
		s.World.Client.Get(s.T.Context(), client.ObjectKey{Namespace: s.Namespace, Name: name}, source),
	)
	return source
}

// Authority makes another ConfigMap with the authority of a bucket's server, for stories
// with several, and returns its name.
func (s *Story) Authority(name string, b *Bucket) string {
	s.T.Helper()
	c := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: AuthorityName + "-" + name, Namespace: s.Namespace},
		Data:       map[string]string{"ca.crt": string(b.Server.CABundle)},
	}
	s.Create(c)
	return c.Name
}
