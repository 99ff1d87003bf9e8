// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// Every engine fills file systems and devices, and the import says which one did.
func TestEngines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		server     story.Server
		asked, ran v1alpha1.Engine
	}{
		{story.VersityGW, "", "Native"},
		{story.VersityGW, "MC", "MC"},
		{story.VersityGWKept, "MC", "MC"},
		{story.VersityGWKept, "Native", "Native"},
		{story.MinIO, "MC", "MC"},
		{story.MinIO, "Native", "Native"},
	} {
		t.Run(fmt.Sprintf("%s,%s", tt.server, tt.asked), func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			data := story.Mixed("set/", 200)
			data["set/ranges"] = story.Bytes(1, 40*story.MiB+7) // It comes in ranges.
			bucket := s.Bucket(tt.server).Put(data)
			asked := func(o *v1alpha1.S3Source) { o.Spec.Transfer.Engine = tt.asked }
			s.Source("files", bucket, under("set"), asked)
			s.Source("disk", bucket, asked, func(o *v1alpha1.S3Source) {
				o.Spec.Objects = []v1alpha1.S3Object{{Key: "set/ranges"}}
			})
			files := s.Claim(story.Claim{Name: "files", Source: "files", Size: "128Mi"})
			disk := s.Claim(story.Claim{Name: "disk", Source: "disk", Block: true, Size: "64Mi"})
			s.Populated(files, bucket.Under("set/"))
			s.Bound(disk.Name)
			object := bucket.Under("set/")["ranges"]
			if got := s.DeviceSum(disk, object.Size); got != object.SHA256 {
				t.Errorf("the device begins with sha256 %s, the object has %s", got, object.SHA256)
			}
			for _, claim := range []*corev1.PersistentVolumeClaim{files, disk} {
				if run := s.Import(claim); run.Status.Engine != tt.ran {
					t.Errorf("the import of claim %s names the engine %q, want %q", claim.Name, run.Status.Engine, tt.ran)
				}
			}
		})
	}
}
