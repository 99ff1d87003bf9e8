// SPDX-License-Identifier: Apache-2.0

package counters

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// series are the values of a counter by its label, as a scrape finds them.
func series(t *testing.T, c Counter) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			found[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return found
}

// Every series is there before anything is counted, and whatever a tenant's pod says adds none.
func TestSeriesAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	c := New(prometheus.CounterOpts{Name: "failures_total", Help: "Failures."}, "reason", []string{"A", "B"})
	if diff := cmp.Diff(map[string]float64{"A": 0, "B": 0, Other: 0}, series(t, c)); diff != "" {
		t.Errorf("at the start (-want +got):\n%s", diff)
	}
	for _, reason := range []string{"A", "A", "made up", "made up, too", ""} {
		c.Count(reason)
	}
	if diff := cmp.Diff(map[string]float64{"A": 2, "B": 0, Other: 3}, series(t, c)); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, r := range Reasons(v1alpha1.ReasonUnsupportedClaim) {
		all[r] = true
	}
	if !all["UnsupportedClaim"] || !all[string(wire.AccessDenied)] || len(all) != len(wire.Reasons())+1 {
		t.Errorf("the reasons are %v", all)
	}
}
