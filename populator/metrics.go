// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/counters"
	"github.com/s3populator/s3populator/populator/protocol"
)

// The metrics of populations. docs/operations.md explains them.
var (
	duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "s3populator_population_duration_seconds",
		Help: "Time from the prime claim's creation until its volume was bound to the user's claim.",
		// Seconds: 1 s is a tiny source, 4.5 h a large one; each is three times the last.
		Buckets: prometheus.ExponentialBuckets(1, 3, 10),
	})
	bytesLoaded = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "s3populator_population_bytes_total",
		Help: "Bytes on volumes that were bound.",
	})
	moverFailures = counters.New(prometheus.CounterOpts{
		Name: "s3populator_mover_failures_total",
		Help: "Mover pods that ended without success, by the reason they reported.",
	}, "reason", counters.Reasons())
	stuck = counters.New(prometheus.CounterOpts{
		Name: "s3populator_population_problems_total",
		Help: "Times a claim's population came to a halt, by condition reason.",
	}, "reason", counters.Reasons(v1alpha1.ReasonBoundElsewhere, v1alpha1.ReasonInvalidAnnotations,
		v1alpha1.ReasonPrimeConflict, v1alpha1.ReasonRebindBlocked, v1alpha1.ReasonSourceConflict,
		v1alpha1.ReasonUnsupportedClaim, v1alpha1.ReasonUnsupportedClass))
	failedWrites = counters.New(prometheus.CounterOpts{
		Name: "s3populator_failed_writes_total",
		Help: "Writes for a claim that the API server did not accept, by the write.",
	}, "write", writeNames())
	orphans = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "s3populator_orphans_removed_total",
		Help: "Primes and movers without a claim that the sweeper removed.",
	})
	orphansKept = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "s3populator_orphans",
		Help: "Claims and volumes with a name of ours that nothing proves to be ours, so that they are kept, by kind.",
	}, []string{"kind"})
)

func init() { //nolint:gochecknoinits // Collectors register once per process, as controller-runtime's own do.
	metrics.Registry.MustRegister(duration, bytesLoaded, moverFailures, stuck, failedWrites, orphans, orphansKept)
}

// writeNames are all writes that may fail.
func writeNames() []string {
	all := []string{writeCondition, writeImport}
	for action := range (&Reconciler{}).writes() {
		all = append(all, string(action))
	}
	return all
}

// observeOutcome counts a decision once it was carried out and told.
func observeOutcome(s protocol.State, d protocol.Decision) {
	switch {
	case d.Action == protocol.RecordFailure:
		moverFailures.Count(string(protocol.FailureOf(s.Ended()).Reason))
	case d.Announce == v1alpha1.ReasonPopulationSucceeded && s.Prime != nil:
		duration.Observe(s.Now.Sub(s.Prime.CreationTimestamp.Time).Seconds())
		if r, ok := protocol.Result(s.Prime); ok {
			bytesLoaded.Add(float64(r.Report.Bytes))
		}
	case d.Status == corev1.ConditionFalse:
		if was, _ := protocol.Populated(s.Claim); was.Reason != string(d.Reason) {
			stuck.Count(string(d.Reason))
		}
	}
}
