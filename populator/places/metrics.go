// SPDX-License-Identifier: Apache-2.0

package places

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	runningMovers = prometheus.NewDesc("s3populator_movers_running",
		"Mover pods that take a place in the queue, by namespace and S3 host.", []string{"namespace", "endpoint"}, nil)
	queuedMovers = prometheus.NewDesc("s3populator_movers_queued",
		"Movers that wait for a place, by namespace and the cap that is reached.", []string{"namespace", "cap"}, nil)
)

// Describe implements prometheus.Collector.
func (o Office) Describe(to chan<- *prometheus.Desc) {
	to <- runningMovers
	to <- queuedMovers
}

// Collect counts at the time of the scrape, so that nothing is counted that is gone.
func (o Office) Collect(to chan<- prometheus.Metric) {
	movers, err := o.Movers(context.Background()) //nolint:forbidigo // A scrape has no context; the cache answers at once.
	if err != nil {
		return // The cache has stopped, as has the manager.
	}
	running := map[[2]string]int{}
	for _, m := range movers {
		if m.Runs {
			running[[2]string{m.Namespace, m.Endpoint}]++
		}
	}
	for labels, n := range running {
		to <- prometheus.MustNewConstMetric(runningMovers, prometheus.GaugeValue, float64(n), labels[:]...)
	}
	for w, n := range o.Queue.Waiting() {
		to <- prometheus.MustNewConstMetric(queuedMovers, prometheus.GaugeValue, float64(n), w.Namespace, string(w.Cap))
	}
}
