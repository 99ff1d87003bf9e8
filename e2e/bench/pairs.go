// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// measurement is what n pods that write a file, or n claims of ours, took: seconds since the
// first of them was created.
type measurement struct {
	// ended is when the API told that the last writer's, or mover's, container had ended.
	ended float64
	// done is ended for the floor; for ours, when the last claim was Bound.
	done float64
	// read is done, and what n more pods took that read what was written.
	read float64
	// requests of one claim, and what was left after a rest; only where the detail was asked for.
	requests  asked
	leftovers int
	// processor time of one claim, until it was done.
	processor processorTime
}

// pair is one floor and one measurement of ours, one after the other.
type pair struct{ floor, ours measurement }

// floorFirst is the order ABBA: what grows slower during a run does so for both.
func floorFirst(i int) bool { return i%4 == 0 || i%4 == 3 }

// median of an odd or even number of figures; NaN of none.
func median(of []float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// each is one figure of every pair.
func each(pairs []pair, of func(pair) float64) []float64 {
	all := make([]float64, 0, len(pairs))
	for _, p := range pairs {
		all = append(all, of(p))
	}
	return all
}

// put writes the figures of n claims at once: medians, and the range of the ratios of each
// pair. ratio compares a Bound claim with a writer's end; ended_ratio the ends of containers;
// read_ratio pods that have read what was written.
func put(f figures, n int, pairs []pair) {
	f[key("floor", n)] = median(each(pairs, func(p pair) float64 { return p.floor.ended }))
	f[key("ended", n)] = median(each(pairs, func(p pair) float64 { return p.ours.ended }))
	f[key("bound", n)] = median(each(pairs, func(p pair) float64 { return p.ours.done }))
	f[key("floor_read", n)] = median(each(pairs, func(p pair) float64 { return p.floor.read }))
	f[key("read", n)] = median(each(pairs, func(p pair) float64 { return p.ours.read }))
	for what, of := range map[string]func(pair) float64{
		"ratio":       func(p pair) float64 { return p.ours.done / p.floor.ended },
		"ended_ratio": func(p pair) float64 { return p.ours.ended / p.floor.ended },
		"read_ratio":  func(p pair) float64 { return p.ours.read / p.floor.read },
	} {
		ratios := each(pairs, of)
		f[key(what, n)] = median(ratios)
		f[key(what, n)+"_range"] = []float64{rounded(slices.Min(ratios)), rounded(slices.Max(ratios))}
	}
}
