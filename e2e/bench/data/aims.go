// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// mib64 is 64 MiB in MB of 10^6 bytes.
const mib64 = 67.1

// aim is what a figure should be at most. Ours is verified, theirs is not.
type aim struct {
	set, figure string
	most        float64
}

var aims = []aim{
	{"small", "vs_limit", 1.5},
	{"small", "vs_mc", 0.30},
	{"small", "vs_s5cmd", 0.50},
	{"small", "vs_rclone", 0.60},
	{"small", "cpu_vs_s5cmd", 0.40},
	{"small", "rss_mb", mib64},
	{"small_minio", "vs_mc", 0.40},
	{"mib", "vs_mc", 0.60},
	{"mib", "vs_s5cmd", 0.80},
	{"mib", "rss_mb", mib64},
	{"large_crc", "vs_best", 1.0},
	{"large_crc", "vs_dd", 1.25},
	{"large_crc", "rss_mb", mib64},
	{"large_md5", "vs_best", 1.3},
	{"large_md5", "rss_mb", mib64},
	{"up_small", "vs_mc", 0.50},
	{"up_small", "vs_s5cmd", 0.70},
	{"up_large", "vs_best", 1.0},
}

func aimsTable(b *strings.Builder, results []*result, resumes *resumption) {
	fmt.Fprint(b, "### Aims\n\n| set | figure | measured | aim | |\n|---|---|---|---|---|\n")
	line := func(set, figure, measured string, value, most float64) {
		verdict := "missed"
		if value <= most {
			verdict = "met"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.4g | %s |\n", set, figure, measured, most, verdict)
	}
	for _, a := range aims {
		r := find(results, a.set, onMemory)
		if r == nil {
			continue
		}
		i := slices.IndexFunc(figures, func(f figure) bool { return f.name == a.figure })
		f := vsBest
		if i >= 0 {
			f = figures[i]
		}
		values := f.values(r)
		line(a.set, a.figure, cell(values), spreadOf(values).median, a.most)
	}
	if resumes != nil {
		for _, k := range resumes.Kills {
			line("resume", fmt.Sprintf("MB fetched twice, %s at %d %%", k.Data, k.Percent), fmt.Sprintf("%.1f", k.Refetched),
				k.Refetched, mib64+k.Total/100)
		}
	}
}
