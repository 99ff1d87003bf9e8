// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A mover that is killed half-way is followed by one that fetches the rest, not
// everything again.
func TestMoverKilled(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"TransferFailed"}
	const objects, size = 48, 512 * story.KiB
	data := map[string][]byte{}
	for i := range objects {
		data[fmt.Sprintf("part-%02d.bin", i)] = story.Bytes(uint64(i)+1, size)
	}
	bucket := s.Bucket(story.MinIO).Put(data)
	proxy := s.Proxy(bucket)
	s.Source("source", bucket, through(proxy), slowed("512Ki"))
	claim := s.Claim(story.Claim{Source: "source", Size: "64Mi"})

	mover := s.Mover(claim, "mc")
	done := s.Moved(mover, objects*size/2)
	s.Kill(mover.UID, "mover")
	s.Gone(mover)
	before := proxy.Fetched()

	s.Populated(claim, bucket.Under(""))
	if run := s.Import(claim); run.Status.Attempts != 2 {
		t.Errorf("the import counts %d attempts, want 2", run.Status.Attempts)
	}
	s.FetchedTheRest(claim, proxy.Fetched()-before, done, objects*size)
	s.WaitForEvent(claim, "TransferFailed", "")
}

// So is one of a Block volume, on which nothing but the object has room: the manager keeps what the mover said of it.
func TestBlockMoverKilled(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"TransferFailed"}
	const size = 48*story.MiB + 512
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"images/disk.img": story.Bytes(1, size)})
	proxy := s.Proxy(bucket)
	s.Source("disk", bucket, through(proxy), slowed("1536Ki"), func(o *v1alpha1.S3Source) {
		o.Spec.Objects = []v1alpha1.S3Object{{Key: "images/disk.img"}}
		o.Spec.Transfer.Engine = "Native"
	})
	claim := s.Claim(story.Claim{Source: "disk", Block: true, Size: "64Mi"})

	mover := s.Mover(claim, "mover")
	done := s.Moved(mover, size/2)
	s.Kill(mover.UID, "mover")
	s.Gone(mover)
	before := proxy.Fetched()

	s.Bound(claim.Name)
	if run := s.Import(claim); run.Status.Attempts != 2 {
		t.Errorf("the import counts %d attempts, want 2", run.Status.Attempts)
	}
	s.FetchedTheRest(claim, proxy.Fetched()-before, done, size)
	s.WaitForEvent(claim, "TransferFailed", "")
	object := bucket.Under("images/")["disk.img"]
	if got := s.DeviceSum(claim, object.Size); got != object.SHA256 {
		t.Errorf("the device begins with sha256 %s, the object has %s", got, object.SHA256)
	}
}
