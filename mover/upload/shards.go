// SPDX-License-Identifier: Apache-2.0

package upload

import "github.com/s3populator/s3populator/mover/manifest"

const (
	// perFile in bytes is what a file costs besides its size: a request or two.
	perFile = 1 << 20
	// perLook in bytes is what a file costs that nothing is sent of.
	perLook = 1 << 10
	// leastShard in bytes is what is worth a pod, which takes seconds to start.
	leastShard = 32 << 20
)

// weights of what is to be done, by entry; zero for what is no file.
func (x *export) weights(todo []work) []float64 {
	all := make([]float64, len(x.scan.Entries))
	for i, e := range x.scan.Entries {
		if e.Type == manifest.File {
			all[i] = perLook
		}
	}
	for _, w := range todo {
		all[w.entry] = perFile
		if w.action != copyLast {
			all[w.entry] += float64(x.scan.Entries[w.entry].Size)
		}
	}
	return all
}

// cut gives each entry that weighs anything to one shard, and the others to none, which is -1. Shards follow each
// other in the order of the entries, so that each can list what it has to know, and weigh about the same: none is
// heavier than its share and one file. There are as many as are worth it, and at most most.
func cut(weights []float64, most int) (shards []int, count int) {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	most = max(1, min(most, int(total/leastShard)))
	shards = make([]int, len(weights))
	before, last := 0.0, -1
	for i, w := range weights {
		if w == 0 {
			shards[i] = -1
			continue
		}
		// By its middle: the share that most of it is in.
		if share := min(most-1, int((before+w/2)/total*float64(most))); share > last || count == 0 {
			last = share
			count++
		}
		shards[i] = count - 1
		before += w
	}
	return shards, count
}
