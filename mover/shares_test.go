// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestTheBandwidthReachesWhoeverRuns: all that run at a time share the cap, and no part of it is
// kept for what does not run.
func TestTheBandwidthReachesWhoeverRuns(t *testing.T) {
	for name, tt := range map[string]struct {
		streaming       map[int]bool // nil: mirror does not run.
		batches         int
		mirror, streams int
	}{
		"mirror alone":                    {map[int]bool{}, 0, 1, 2},
		"mirror and one large object":     {map[int]bool{3: true}, 1, 2, 2},
		"mirror and many large objects":   {map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}, 5, 5, 5},
		"one stream":                      {nil, 1, 1, 1},
		"fewer streams than may run":      {nil, 3, 1, 3},
		"more batches than run at a time": {nil, 30, 1, 4},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &transfer{
				fetcher:   &fetcher{request: wire.Request{Transfer: wire.Transfer{Parallelism: 4}}},
				streaming: tt.streaming,
			}
			if got := tr.mirrorShare(); got != tt.mirror {
				t.Errorf("mirror has one part of %d, want %d", got, tt.mirror)
			}
			if got := tr.streamShare(tt.batches); got != tt.streams {
				t.Errorf("a stream has one part of %d, want %d", got, tt.streams)
			}
		})
	}
}
