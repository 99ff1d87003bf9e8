// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// spread is the median of some values, and between which they lie.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

func wall(u usage) float64 { return u.Wall }
func cpu(u usage) float64  { return u.CPU }
func rss(u usage) float64  { return u.RSS }

func (r *result) runs(tool string) []usage {
	for _, row := range r.Rows {
		if row.Tool == tool {
			return row.Runs
		}
	}
	return nil
}

// values are a quantity of a tool's runs, round by round.
func (r *result) values(tool string, of func(usage) float64) []float64 {
	runs := r.runs(tool)
	out := make([]float64, 0, len(runs))
	for _, u := range runs {
		out = append(out, of(u))
	}
	return out
}

// ours is the engine that the figures are of: Native where there is one; of uploads there is one alone.
func (r *result) ours() string {
	if len(r.runs(exporting)) > 0 {
		return exporting
	}
	if len(r.runs(native)) > 0 {
		return native
	}
	return withMC
}

// ratios divide ours by the least of some others, round by round.
func (r *result) ratios(of func(usage) float64, others ...string) []float64 {
	mine := r.values(r.ours(), of)
	var out []float64
	for round, value := range mine {
		least := math.Inf(1)
		for _, other := range others {
			if theirs := r.values(other, of); round < len(theirs) {
				least = min(least, theirs[round])
			}
		}
		if !math.IsInf(least, 1) && least > 0 {
			out = append(out, value/least)
		}
	}
	return out
}

// figure is one number of the last line: the median of a ratio, or ours alone.
type figure struct {
	name   string
	values func(*result) []float64
}

var figures = []figure{
	{"vs_limit", func(r *result) []float64 { return r.ratios(wall, limit) }},
	{"vs_mc", func(r *result) []float64 { return r.ratios(wall, mc) }},
	{"vs_s5cmd", func(r *result) []float64 { return r.ratios(wall, s5cmd) }},
	// rclone as it is, or tuned: whichever was faster.
	{"vs_rclone", func(r *result) []float64 { return r.ratios(wall, rclone, tuned) }},
	{"vs_dd", func(r *result) []float64 { return r.ratios(wall, ddFiles) }},
	{"cpu_vs_s5cmd", func(r *result) []float64 { return r.ratios(cpu, s5cmd) }},
	{"rss_mb", func(r *result) []float64 { return r.values(r.ours(), rss) }},
}

// vsBest is not in the last line, but there is an aim for it.
var vsBest = figure{"vs_best", func(r *result) []float64 { return r.ratios(wall, mc, s5cmd, rclone, tuned) }}

// inJSON are the sets whose figures are in the last line.
var inJSON = []string{"small", "small_minio", "mib", "large_crc", "large_md5", "mixed", "up_small", "up_large"}

// summary is the last line: figures of tmpfs.
func summary(results []*result, resumes *resumption) map[string]any {
	out := map[string]any{}
	for _, r := range results {
		if r.Target != onMemory || !slices.Contains(inJSON, r.Set) {
			continue
		}
		of := map[string]float64{}
		for _, f := range figures {
			if values := f.values(r); len(values) > 0 {
				of[f.name] = round(spreadOf(values).median)
			}
		}
		out[r.Set] = of
	}
	if resumes != nil {
		out["refetched_mb"] = round(resumes.most())
	}
	return out
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }
