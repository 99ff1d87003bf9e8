// SPDX-License-Identifier: Apache-2.0

// Package attempts counts the movers of one run, and tells when the next one is due and when there is none. It
// is pure.
package attempts

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Back-off between attempts: 10 s, doubled each time, at most 5 min, or 15 min while S3 throttles or
// cannot be reached.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	lastWait     = 15 * time.Minute
)

// defaultLimit is that of the schema.
const defaultLimit = 6

// disruptionLimit bounds attempts that were ended from outside: an eviction is nobody's mistake, and a
// pod that always kills its node is.
const disruptionLimit = 50

// Counts are the attempts in a row that made no progress.
type Counts struct{ Failures, Disruptions, Waits int32 }

// After adds an attempt:
//
//	the attempt                           counts as    takes back to zero
//	made progress                         -            Failures, Disruptions, Waits
//	waited for S3 (RetryUncounted)        wait         -
//	was ended from outside                disruption   Waits
//	was complete, and vanished untold     disruption   Waits
//	failed otherwise                      failure      Waits
func (c Counts) After(mover *corev1.Pod, r wire.Report) Counts {
	switch {
	case r.Progressed:
		return Counts{}
	case r.Class == wire.RetryUncounted:
		c.Waits++
		return c
	case moverpod.EndedFromOutside(mover, r):
		c.Disruptions++
	default:
		c.Failures++
	}
	c.Waits = 0
	return c
}

// Late is c after the report of a mover that was counted before it had ended, because it was told to: what gets further
// each time goes on, however often it is evicted.
func (c Counts) Late(mover *corev1.Pod) Counts {
	if r, reported := moverpod.Report(mover); reported && r.Progressed && r.Class != wire.Done {
		return Counts{}
	}
	return c
}

// Exhausted tells that no attempt follows one that ended so.
func (c Counts) Exhausted(limit *int32, r wire.Report) bool {
	most := int32(defaultLimit)
	if limit != nil {
		most = *limit
	}
	return r.Class == wire.User || c.Waits == 0 && (c.Failures > most || c.Disruptions > disruptionLimit)
}

// Next is when the attempt after this one begins; whole seconds, as the API stores them.
func (c Counts) Next(now time.Time) time.Time {
	if c.Waits > 0 {
		return now.Truncate(time.Second).Add(backoff(c.Waits, lastWait))
	}
	return now.Truncate(time.Second).Add(backoff(c.Failures+c.Disruptions, lastBackoff))
}

func backoff(n int32, last time.Duration) time.Duration {
	wait := firstBackoff
	for range min(n-1, 10) {
		wait = min(2*wait, last)
	}
	return wait
}

// Of is the number of a mover, from 1.
func Of(pod *corev1.Pod) int32 {
	n, err := strconv.ParseInt(pod.Annotations[v1alpha1.AnnotationAttempt], 10, 32)
	if err != nil {
		return 1
	}
	return int32(n)
}

// Ended tells that a mover has ended.
func Ended(pod *corev1.Pod) bool {
	_, ok := moverpod.Ending(pod)
	return ok
}

// Active tells that a mover is there and was not told to end.
func Active(pod *corev1.Pod) bool { return pod != nil && !Ended(pod) && pod.DeletionTimestamp == nil }

// Running tells that a mover runs.
func Running(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning }
