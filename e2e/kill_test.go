// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

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
