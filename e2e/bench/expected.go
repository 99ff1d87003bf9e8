// SPDX-License-Identifier: Apache-2.0

package main

import "maps"

// expectedOfPairs are the figures of one configuration of the node.
func expectedOfPairs(f form) map[string]span {
	want := map[string]span{
		"requests_per_claim": {20, 300}, "floor_requests": {15, 200}, "leftovers": {0, 0},
		"cpu_ms_per_claim": {50, 100000}, "floor_cpu_ms": {50, 100000},
	}
	for _, n := range []int{1, f.claims} {
		seconds, ratio := span{0.1, 600}, span{0.02, 50}
		want[key("floor", n)], want[key("bound", n)], want[key("ratio", n)] = seconds, seconds, ratio
		want[key("ended", n)], want[key("ended_ratio", n)] = seconds, ratio
		want[key("floor_read", n)], want[key("read", n)], want[key("read_ratio", n)] = seconds, seconds, ratio
	}
	return want
}

// expectedOfManager are those of the manager's health. Where the node's components are held
// back, a mover waits for longer than users are left without a word; of nothing else may the
// manager warn, and of no claim more than twice.
func expectedOfManager(f form, l limits) map[string]span {
	pending := 0
	if l.name != raised.name {
		pending = 2 * (f.singles + f.pairs*f.claims + f.warmUp)
	}
	return map[string]span{
		"rss_mb": {10, 256}, "warnings": {0, float64(pending)}, "warnings_but_pending": {0, 0},
		"reconcile_errors": {0, 0}, "failed_writes": {0, 0},
	}
}

// expectedOfSimulation are those of claims against simulated nodes.
func expectedOfSimulation(f form) map[string]span {
	want := map[string]span{"kwok_growth": {0.01, 10}}
	for _, n := range []int{f.few, f.many} {
		want[simulatedKey(n, "s")] = span{0.1, 1200}
		want[simulatedKey(n, "cpu_ms")] = span{0.1, 1000}
		want[simulatedKey(n, "requests")] = span{5, 200}
		want[simulatedKey(n, "rss_mb")] = span{10, 256}
	}
	return want
}

// expectedOfTenants are those of a claim beside other tenants.
func expectedOfTenants(f form) map[string]span {
	t := f.tenants
	return map[string]span{
		"volumes":                {float64(t.volumes), float64(t.volumes)},
		"pending_claims":         {float64(t.pending), float64(t.pending)},
		"unschedulable_movers":   {float64(t.unschedulable), float64(t.unschedulable)},
		"bound_idle_s":           {0.05, 60},
		"bound_busy_s":           {0.05, 120},
		"rss_idle_mb":            {10, 256},
		"rss_busy_mb":            {10, 256},
		"requests_per_s_at_rest": {0, 50},
	}
}

// expectedOfAdmission are those of reviews.
func expectedOfAdmission() map[string]span {
	return map[string]span{
		"handler_us":              {0.1, 10000},
		"handler_bytes":           {1, 1 << 20},
		"p99_ms":                  {0.01, 1000},
		"rate":                    {10, 1e6},
		"reviews_during_rotation": {20, 1e7},
		"refused_during_rotation": {0, 0},
	}
}

func together(all ...map[string]span) map[string]span {
	out := map[string]span{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}
