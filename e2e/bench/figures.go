// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// figures are all that a run measured: times in seconds, memory in MB (10^6 bytes).
type figures struct {
	Floor1           float64 `json:"floor_1"`
	Bound1           float64 `json:"bound_1"`
	Floor50          float64 `json:"floor_50"`
	Bound50          float64 `json:"bound_50"`
	RequestsPerClaim float64 `json:"requests_per_claim"`
	RSS              float64 `json:"rss_mb"`
	Leftovers        int     `json:"leftovers"`
	Warnings         int     `json:"warnings"`
	CPU1000          float64 `json:"kwok_1000_cpu_s"`
	RSS1000          float64 `json:"kwok_1000_rss_mb"`

	floorRequests, requests asked
	small, large            simulation
}

// simulation is what n claims cost the manager against simulated nodes.
type simulation struct {
	claims            int
	seconds, cpu, rss float64
	requests          float64
}

// table shows the figures beside those of the upstream populator library
// (kubernetes-csi/lib-volume-populator, its hello example) on a machine of this kind.
func (f *figures) table(out io.Writer) {
	compare(out, f.floorRequests, f.requests)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, ours, aim, upstream string) { fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", what, ours, aim, upstream) }
	line("", "measured", "aim", "upstream library")
	line("floor: one pod writes into a claim", fmt.Sprintf("%.1f s", f.Floor1), "", "1.5 s")
	line("one claim Bound", fmt.Sprintf("%.1f s", f.Bound1), "2.6 s", "2.6 s")
	line("floor: many pods at once", fmt.Sprintf("%.1f s", f.Floor50), "", "32 s")
	line(
		"as many claims Bound",
		fmt.Sprintf("%.1f s, %.2f x floor", f.Bound50, f.Bound50/f.Floor50),
		"1.25 x",
		"62 s, 1.9 x",
	)
	line(
		"API requests per claim, no watches",
		fmt.Sprintf("%.1f, floor %.1f", f.RequestsPerClaim, f.floorRequests.total()),
		"60, floor 44",
		"64",
	)
	line("manager, resident", fmt.Sprintf("%.0f MB", f.RSS), "60 MB", "46 MB")
	line("left 20 s later", fmt.Sprint(f.Leftovers), "0", "22")
	line("Warning events of ours", fmt.Sprint(f.Warnings), "0", "170")
	for _, s := range []simulation{f.small, f.large} {
		n := float64(s.claims)
		line(
			fmt.Sprintf("%d simulated claims", s.claims),
			fmt.Sprintf(
				"%.1f s; each %.1f ms of processor, %.1f requests of the manager; %.0f MB",
				s.seconds,
				1000*s.cpu/n,
				s.requests/n,
				s.rss,
			),
			"flat; 100 MB",
			"",
		)
	}
	_ = w.Flush() // to a terminal; nothing to do about it
}
