// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A Block claim takes the bytes of exactly one object, from the first byte of the device.
func TestBlock(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonUnsupportedClaim)}
	s.MayWarn = []string{string(v1alpha1.ReasonSourceNotFound)} // Some seconds after a claim that is made before it.
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{
		"images/disk.img": story.Bytes(1, 5*story.MiB+512),
		"images/other":    []byte("x"),
	})
	s.Source("disk", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Objects = []v1alpha1.S3Object{{Key: "images/disk.img"}}
	})
	early := s.Claim(story.Claim{Name: "early", Source: "prefix", Block: true, Size: "8Mi"})
	s.Source("prefix", bucket, under("images"))
	claim := s.Claim(story.Claim{Source: "disk", Block: true, Size: "8Mi"})
	s.Bound(claim.Name)
	object := bucket.Under("images/")["disk.img"]
	if got := s.DeviceSum(claim, object.Size); got != object.SHA256 {
		t.Errorf("the device begins with sha256 %s, the object has %s", got, object.SHA256)
	}
	s.Condition(early.Name, string(v1alpha1.ReasonUnsupportedClaim)) // admission could not know the source
	s.Await("the source to be known", func() error {
		err := world.Client.Create(
			t.Context(),
			s.NewClaim(story.Claim{Name: "refused", Source: "prefix", Block: true}),
			client.DryRunAll,
		)
		if err == nil || !strings.Contains(err.Error(), "exactly one object") {
			return fmt.Errorf("a Block claim of a whole prefix is not refused: %w", err)
		}
		return nil
	})
}
