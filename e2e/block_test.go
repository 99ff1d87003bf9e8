// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A Block claim takes the bytes of exactly one object, from the first byte of the device.
func TestBlock(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonUnsupportedClaim)}
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"images/disk.img": story.Bytes(1, 5*story.MiB+512), "images/other": []byte("x")})
	s.Source("disk", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Objects = []v1alpha1.S3Object{{Key: "images/disk.img"}}
	})
	s.Source("prefix", bucket, under("images"))
	claim := s.Claim(story.Claim{Source: "disk", Block: true, Size: "8Mi"})
	refused := s.Claim(story.Claim{Name: "refused", Source: "prefix", Block: true, Size: "8Mi"})
	s.Bound(claim.Name)
	object := bucket.Under("images/")["disk.img"]
	if got := s.DeviceSum(claim, object.Size); got != object.SHA256 {
		t.Errorf("the device begins with sha256 %s, the object has %s", got, object.SHA256)
	}
	s.Condition(refused.Name, string(v1alpha1.ReasonUnsupportedClaim))
}
