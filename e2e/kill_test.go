// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
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
	s.Source("source", bucket, slowed("3Mi"))
	claim := s.Claim(story.Claim{Source: "source", Size: "64Mi"})

	var done int64
	mover := s.Mover(claim, "mc")
	s.Await("half of the data to be there", func() error {
		if done = s.ProgressOf(mover).BytesDone; done < objects*size/2 {
			return fmt.Errorf("%d of %d bytes are", done, objects*size)
		}
		return nil
	})
	s.Kill(mover.UID, "mover")

	s.Populated(claim, bucket.Under(""))
	if run := s.Import(claim); run.Status.Attempts != 2 {
		t.Errorf("the import counts %d attempts, want 2", run.Status.Attempts)
	}
	second := s.Report(claim)
	if again := done + second.FetchedBytes - objects*size; again >= done/2 {
		t.Errorf(
			"the first mover had %d bytes when it was killed; the second fetched %d of %d, so %d again",
			done,
			second.FetchedBytes,
			objects*size,
			again,
		)
	}
	if got := s.Events(claim); !slices.Contains(got, "TransferFailed") {
		t.Errorf("events on the claim are only %v", got)
	}
}
