// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"math/rand/v2"
	"testing"
)

func TestCut(t *testing.T) {
	t.Parallel()
	files := func(n int, size float64) []float64 {
		all := make([]float64, n)
		for i := range all {
			all[i] = size
		}
		return all
	}
	for name, tt := range map[string]struct {
		weights []float64
		most    int
		want    int
	}{
		"nothing":                         {nil, 8, 0},
		"directories alone":               {files(4, 0), 8, 0},
		"one file":                        {files(1, 1<<40), 8, 1},
		"too little for two":              {files(60, perFile), 8, 1},
		"enough for two":                  {files(64, perFile), 8, 2},
		"small files":                     {files(5000, perFile), 8, 8},
		"large files":                     {files(8, 1<<30), 8, 8},
		"fewer large files than shards":   {files(3, 1<<30), 8, 3},
		"nothing has changed":             {files(10_000, perLook), 8, 1},
		"one that is larger than all":     {append(files(64, perFile), 1<<40), 8, 2},
		"one in the midst that is larger": {append(append(files(64, perFile), 1<<40), files(64, perFile)...), 8, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, got := cut(tt.weights, tt.most); got != tt.want {
				t.Errorf("there are %d shards, want %d", got, tt.want)
			}
		})
	}
}

// Whatever there is, each file is in one shard, none is empty, and none has more than its share and one file.
func TestShardsAreDisjointWholeAndFair(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		weights, most := make([]float64, random.IntN(300)), 1+random.IntN(40)
		total, heaviest := 0.0, 0.0
		for i := range weights {
			switch random.IntN(4) {
			case 0:
				continue
			case 1:
				weights[i] = perFile + float64(random.Int64N(4<<30))
			default:
				weights[i] = perFile
			}
			total += weights[i]
			heaviest = max(heaviest, weights[i])
		}
		shards, count := cut(weights, most)
		if count > most {
			t.Fatalf("seed %d: there are %d shards, at most %d are wanted", seed, count, most)
		}
		of, last := make([]float64, count), 0
		for i, shard := range shards {
			switch {
			case weights[i] == 0 && shard == -1:
				continue
			case weights[i] == 0, shard < last, shard >= count:
				t.Fatalf("seed %d: entry %d of weight %f is in shard %d of %d", seed, i, weights[i], shard, count)
			}
			of[shard] += weights[i]
			last = shard
		}
		shares := max(1, min(most, int(total/leastShard)))
		for shard, weight := range of {
			if weight == 0 || weight > total/float64(shares)+heaviest+1 {
				t.Fatalf("seed %d: shard %d of %d weighs %f of %f", seed, shard, count, weight, total)
			}
		}
	}
}
