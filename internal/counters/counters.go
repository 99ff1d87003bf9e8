// SPDX-License-Identifier: Apache-2.0

// Package counters makes counters by reason whose series are all there from the start, at 0: increase() of Prometheus
// does not see what a series counts when it appears.
package counters

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Other counts what is none of the values of a counter. The report of a mover is a tenant's, and may give any reason:
// each would be a series for as long as the manager runs.
const Other = "Other"

// Counter has one label, with a value of a closed set. It is a prometheus.Collector.
type Counter struct {
	*prometheus.CounterVec
	known map[string]bool
}

// New makes a counter whose label has one of the values.
func New(options prometheus.CounterOpts, label string, values []string) Counter {
	c := Counter{prometheus.NewCounterVec(options, []string{label}), map[string]bool{}}
	for _, v := range append(values, Other) {
		c.known[v] = true
		c.WithLabelValues(v)
	}
	return c
}

// Count adds one.
func (c Counter) Count(value string) {
	if !c.known[value] {
		value = Other
	}
	c.WithLabelValues(value).Inc()
}

// Reasons are those of movers, and some of the manager.
func Reasons(more ...v1alpha1.Reason) []string {
	var all []string
	for _, r := range wire.Reasons() {
		all = append(all, string(r))
	}
	for _, r := range more {
		all = append(all, string(r))
	}
	return all
}
