// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// table shows the figures of the control path to people.
func table(out io.Writer, f form, all figures) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range []limits{raised, defaults} {
		p := l.prefix()
		if math.IsNaN(all.number(p + key("ratio", f.claims))) {
			continue
		}
		fmt.Fprintf(w, "limits of the node's components: %s\tfloor\tours\tratio\tof pairs\taim\n", l.name)
		for _, n := range []int{1, f.claims} {
			aim := ""
			if n == full.claims {
				aim = "1.25, at most 1.40"
			}
			compared(w, all, p, n, line{"Bound, and the writer's end", "floor", "bound", "ratio", aim})
			compared(w, all, p, n, line{"ends of containers", "floor", "ended", "ended_ratio", ""})
			compared(w, all, p, n, line{"a second pod has read the bytes", "floor_read", "read", "read_ratio", ""})
		}
		requests := all.number(p + "requests_per_claim")
		fmt.Fprintf(
			w,
			"requests per claim, no watches\t%.1f\t%.1f\t\t\tat most 60\n",
			all.number(p+"floor_requests"),
			requests,
		)
		fmt.Fprintf(w, "left %s later\t\t%v\t\t\t0\n", f.rest, all[p+"leftovers"])
		health(w, all, p)
	}
	if n := all.number(simulatedKey(f.many, "cpu_ms")); !math.IsNaN(n) {
		for _, n := range []int{f.few, f.many} {
			fmt.Fprintf(
				w,
				"%d simulated claims\t\t%.1f ms of processor each\t%.1f requests\t%.0f MB\tflat within 1.2\n",
				n,
				all.number(
					simulatedKey(n, "cpu_ms"),
				),
				all.number(simulatedKey(n, "requests")),
				all.number(simulatedKey(n, "rss_mb")),
			)
		}
	}
	_ = w.Flush() // To a terminal; nothing to do about it.
}

// health is a row of the manager's.
func health(w io.Writer, all figures, prefix string) {
	fmt.Fprintf(w, "manager\t\t%.0f MB\t%v warnings\t%v of them not of waiting movers\t60 MB, 0, 0\n",
		all.number(prefix+"rss_mb"), all[prefix+"warnings"], all[prefix+"warnings_but_pending"])
	fmt.Fprintf(w, "errors of reconciles, and failed writes\t\t%v\t\t\t0\n",
		all.number(prefix+"reconcile_errors")+all.number(prefix+"failed_writes"))
}

// line is one row: what is compared, the keys of its figures, and an aim.
type line struct{ what, floor, ours, ratio, aim string }

func compared(w io.Writer, all figures, prefix string, n int, l line) {
	fmt.Fprintf(w, "%d: %s\t%.1f s\t%.1f s\t%.2f\t%v\t%s\n", n, l.what, all.number(prefix+key(l.floor, n)),
		all.number(prefix+key(l.ours, n)), all.number(prefix+key(l.ratio, n)), all[prefix+key(l.ratio, n)+"_range"], l.aim)
}
