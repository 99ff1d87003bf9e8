// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/s3populator/s3populator/e2e/story"
)

// The progress of an import moves while bytes move, and while they do, no process shows
// a secret.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	// A file that has come is in no count for the moment in which it is compared. That must be less than what comes
	// between two looks of the manager, a mebibyte.
	data := map[string][]byte{}
	for i := range 40 {
		data[fmt.Sprintf("part-%02d.bin", i)] = story.Bytes(uint64(i)+1, (448+16*(i%8))*story.KiB)
	}
	bucket := s.Bucket(story.MinIO).Put(data)
	s.Source("source", bucket, slowed("512Ki"))
	claim := s.Claim(story.Claim{Source: "source"})
	mover := s.Mover(claim, "mc")
	// The mc that was just seen may have been one that lists, and be gone.
	s.Await("a mover and its mc to look at", func() error {
		if seen := s.HidesSecrets(mover); seen < 2 {
			return fmt.Errorf("%d of their processes are there", seen)
		}
		return nil
	})
	s.Populated(claim, bucket.Under(""))
	last, moved := int32(0), 0
	for _, status := range world.Seen.Imports(s.Namespace, claim.Name) {
		if status.Progress == nil || status.Progress.Percent == last {
			continue
		}
		if status.Progress.Percent < last {
			t.Errorf("the percentage went back from %d to %d", last, status.Progress.Percent)
		}
		if last = status.Progress.Percent; last < 100 {
			moved++
			if status.Progress.Rate == "" && moved > 1 {
				t.Errorf("at %d %% there is no rate", last)
			}
		}
	}
	// Two values tell movement from a jump; how many more there are is a matter of the machine.
	if moved < 2 || last != 100 {
		t.Errorf("the percentage had %d values before 100 and ended with %d", moved, last)
	}
}
