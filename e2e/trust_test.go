// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// An endpoint whose certificate a private authority signed is trusted through a bundle,
// on both servers.
func TestPrivateAuthority(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	for name, server := range map[string]story.Server{"minio": story.MinIOTLS, "versitygw": story.VersityGWTLS} {
		bucket := s.Bucket(server).Put(story.Small("", 6))
		s.Source(
			name,
			bucket,
			func(o *v1alpha1.S3Source) { o.Spec.TLS.CABundles[0].ConfigMap.Name = s.Authority(name, bucket) },
		)
		s.Populated(s.Claim(story.Claim{Name: name, Source: name}), bucket.Under(""))
	}
}

// A bucket that anyone may read needs no credentials; a user who asks for it gets any
// certificate accepted.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIOTLS).Put(story.Small("", 6)).AllowAnyone()
	s.Source("source", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Credentials, o.Spec.TLS = nil, &v1alpha1.TLS{InsecureSkipVerify: true}
	})
	s.Populated(s.Claim(story.Claim{Source: "source"}), bucket.Under(""))
}
