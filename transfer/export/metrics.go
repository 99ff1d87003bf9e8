// SPDX-License-Identifier: Apache-2.0

package export

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/counters"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// The metrics of exports. docs/operations.md explains them.
var (
	duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "s3populator_export_duration_seconds",
		Help: "Time from the start of an export's first mover until everything was in S3.",
		// Seconds: 1 s is a tiny volume, 4.5 h a large one; each is three times the last.
		Buckets: prometheus.ExponentialBuckets(1, 3, 10),
	})
	bytesSent = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "s3populator_export_sent_bytes_total",
		Help: "Bytes that movers of exports have sent to S3, also those of attempts that failed.",
	})
	moverFailures = counters.New(prometheus.CounterOpts{
		Name: "s3populator_export_mover_failures_total",
		Help: "Mover pods of exports that ended without success, by the reason they reported.",
	}, "reason", counters.Reasons())
	failures = counters.New(prometheus.CounterOpts{
		Name: "s3populator_export_failures_total",
		Help: "Exports that are Failed, by condition reason.",
	}, "reason", counters.Reasons(v1alpha1.ReasonClaimReplaced, v1alpha1.ReasonInvalidPrefix,
		v1alpha1.ReasonSnapshotFailed, v1alpha1.ReasonSourceNotShareable, v1alpha1.ReasonUnsupportedClaim,
		v1alpha1.ReasonVolumeCaptured))
)

func init() { //nolint:gochecknoinits // Collectors register once per process, as controller-runtime's own do.
	metrics.Registry.MustRegister(duration, bytesSent, moverFailures, failures)
}

// observeOutcome counts a decision once it was told.
func observeOutcome(s protocol.State, d protocol.Decision, next v1alpha1.S3ExportStatus) {
	if r := d.Ended; r != nil {
		if !s.Export.Spec.DryRun {
			bytesSent.Add(float64(r.SentBytes))
		}
		if r.Class != wire.Done {
			moverFailures.Count(string(r.Reason))
		}
	}
	switch {
	case d.Phase == v1alpha1.ExportSucceeded && next.StartTime != nil:
		duration.Observe(s.Now.Sub(next.StartTime.Time).Seconds())
	case d.Phase == v1alpha1.ExportFailed:
		failures.Count(string(d.Reason))
	}
}
