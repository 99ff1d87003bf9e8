// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/counters"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/imports/protocol"
)

// The metrics of imports. docs/operations.md explains them.
var (
	duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "s3populator_import_duration_seconds",
		Help: "Time from the start of an import's first mover until everything was on the volume.",
		// Seconds: 1 s is a tiny volume, 4.5 h a large one; each is three times the last.
		Buckets: prometheus.ExponentialBuckets(1, 3, 10),
	})
	bytesFetched = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "s3populator_import_fetched_bytes_total",
		Help: "Bytes that movers of imports have read from S3, also those of attempts that failed.",
	})
	moverFailures = counters.New(prometheus.CounterOpts{
		Name: "s3populator_import_mover_failures_total",
		Help: "Mover pods of imports that ended without success, by the reason they reported.",
	}, "reason", counters.Reasons())
	failures = counters.New(prometheus.CounterOpts{
		Name: "s3populator_import_failures_total",
		Help: "Imports that are Failed, by condition reason.",
	}, "reason", counters.Reasons(v1alpha1.ReasonClaimReplaced, v1alpha1.ReasonInvalidSelection,
		v1alpha1.ReasonSelectionChanged, v1alpha1.ReasonUnsupportedClaim, v1alpha1.ReasonUnsupportedSource))
)

func init() { //nolint:gochecknoinits // Collectors register once per process, as controller-runtime's own do.
	metrics.Registry.MustRegister(duration, bytesFetched, moverFailures, failures)
}

// observeOutcome counts a decision once it was told.
func observeOutcome(s protocol.State, d protocol.Decision, next v1alpha1.S3ImportStatus) {
	if r := d.Ended; r != nil {
		bytesFetched.Add(float64(r.FetchedBytes))
		if r.Class != wire.Done {
			moverFailures.Count(string(r.Reason))
		}
	}
	switch {
	case d.Phase == v1alpha1.ImportSucceeded && next.StartTime != nil:
		duration.Observe(s.Now.Sub(next.StartTime.Time).Seconds())
	case d.Phase == v1alpha1.ImportFailed:
		failures.Count(string(d.Reason))
	}
}
