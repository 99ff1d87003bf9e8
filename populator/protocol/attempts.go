// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Back-off between attempts: 10 s, doubled each time, at most 5 min, or 15 min while S3
// throttles or cannot be reached. The first is short because most failures are a server
// that restarts; the last keeps six attempts in ten minutes.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	lastWait     = 15 * time.Minute
)

// defaultRetries is the limit where the source, now gone, cannot tell.
const defaultRetries = 6

// disruptionLimit bounds attempts that ended from outside. It is generous because an
// eviction is nobody's mistake, and finite because a pod that always kills its node is.
const disruptionLimit = 50

// Attempts is the prime's memory of its movers, written before an ended mover is deleted,
// so that no crash forgets it. It survives the mover's garbage collection.
type Attempts struct {
	// Hash and Pod are the RequestHash and PodHash that failed; others start afresh.
	Hash string `json:"hash"`
	Pod  string `json:"pod,omitempty"`
	// Movers counts all that ended or were ended on this prime.
	Movers int `json:"movers,omitempty"`
	// Failures count towards spec.retries.limit, Disruptions (evictions, lost nodes) towards
	// a limit of their own. Progress takes both back to zero.
	Failures    int `json:"failures"`
	Disruptions int `json:"disruptions,omitempty"`
	// Waits counts the latest attempts in a row that only waited for S3, and Since is the
	// end of the first of them.
	Waits int       `json:"waits,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Edits counts the latest movers in a row that a changed request ended, and EditedAt is
	// when the last of them was.
	Edits    int       `json:"edits,omitempty"`
	EditedAt time.Time `json:"editedAt,omitzero"`
	// Began means that a mover found the volume to be ours to fill, so that all on it is.
	Began bool `json:"began,omitempty"`
	// Held means that a mover found something on the volume that may be somebody's, and that
	// none has begun since. A later mover that ends before it looks does not take that back.
	Held bool `json:"held,omitempty"`
	// Shared means that a mover found another claim's journal on the volume, or its own gone while it wrote, and
	// that none has begun since: what is there may be another claim's, although a mover of this one wrote.
	Shared bool `json:"shared,omitempty"`
	// Arrived is what a mover has last said of a Block volume that is not complete, for the next one to go on with.
	Arrived *wire.Arrived `json:"arrived,omitempty"`
	// Mover is the UID of the latest ended pod, so that none is counted twice.
	Mover string    `json:"mover"`
	At    time.Time `json:"at"`
	// Terminal: only another Hash or Pod tries again.
	Terminal bool        `json:"terminal,omitempty"`
	Reason   wire.Reason `json:"reason"`
	Message  string      `json:"message"`
	// RequiredBytes is how large the volume would have to be, if that is what was wrong.
	RequiredBytes int64 `json:"requiredBytes,omitempty"`
}

// ReadAttempts is zero where there were none; a damaged annotation counts as none.
func ReadAttempts(prime *corev1.PersistentVolumeClaim) Attempts {
	var a Attempts
	if json.Unmarshal([]byte(prime.Annotations[v1alpha1.AnnotationAttempts]), &a) != nil {
		return Attempts{}
	}
	if a.Arrived.Check() != nil { // It only saves time.
		a.Arrived = nil
	}
	a.Movers = max(a.Movers, a.Failures+a.Disruptions) // An earlier version counted only those.
	a.Held = a.Held || a.Reason == wire.VolumeNotEmpty && !a.Began
	return a
}

// After adds the failure of a mover to the attempts so far:
//
//	the attempt                           counts as    takes back to zero               ends when there were
//	made progress                         -            failures, disruptions, waits     -
//	waited for S3 (RetryUncounted)        wait         -                                never
//	was ended from outside                disruption   waits                            more than disruptionLimit
//	was complete, and vanished unmarked   disruption   waits                            more than disruptionLimit
//	failed otherwise                      failure      waits                            more than spec.retries.limit
//	needs a person (User)                 as above     as above                         this one
func (a Attempts) After(mover *corev1.Pod, now time.Time) Attempts {
	next, r := a.ended(mover), FailureOf(mover)
	next.Hash, next.Pod = hashOf(mover), mover.Annotations[v1alpha1.AnnotationPodHash]
	if a.Hash != next.Hash || a.Pod != next.Pod {
		next.Failures, next.Disruptions, next.Waits, next.Since = 0, 0, 0, time.Time{}
		if a.Hash != "" {
			next = next.edited(now)
		}
	}
	next.At = now.UTC().Truncate(time.Second)
	next.Reason, next.Message, next.RequiredBytes = r.Reason, r.Message, r.RequiredBytes
	next.Terminal = r.Class == wire.User
	return next.counting(r, moverpod.EndedFromOutside(mover, r))
}

func (a Attempts) counting(r wire.Report, disrupted bool) Attempts {
	if r.Class == wire.RetryUncounted && !r.Progressed {
		a.Waits++
		if a.Waits == 1 {
			a.Since = a.At
		}
		return a
	}
	a.Waits, a.Since = 0, time.Time{}
	switch {
	case r.Progressed:
		a.Failures, a.Disruptions = 0, 0
	case disrupted:
		a.Disruptions++
	default:
		a.Failures++
	}
	return a
}

// Superseded adds a mover that was ended because the request changed. It is no failure.
func (a Attempts) Superseded(mover *corev1.Pod, now time.Time) Attempts {
	return a.ended(mover).edited(now)
}

// ended remembers a mover, however it ended.
func (a Attempts) ended(mover *corev1.Pod) Attempts {
	a.Mover = string(mover.UID)
	a.Movers++
	return a.Found(mover)
}

// exhausted tells that no further attempt is made for the same request. What is waited out
// never ends.
func (a Attempts) exhausted(limit int) bool {
	return a.Terminal || a.Waits == 0 && (a.Failures > limit || a.Disruptions > disruptionLimit)
}

// next is when the following attempt may begin.
func (a Attempts) next() time.Time {
	if a.Waits > 0 {
		return a.At.Add(backoff(a.Waits, lastWait))
	}
	return a.At.Add(backoff(a.Failures+a.Disruptions, lastBackoff))
}

func backoff(n int, last time.Duration) time.Duration {
	wait := firstBackoff
	for range min(n-1, 10) {
		wait = min(2*wait, last)
	}
	return wait
}

// number of the mover that would be started now, from 1.
func (a Attempts) number() int { return a.Movers + 1 }

// Ending is a finished mover's report.
func Ending(mover *corev1.Pod) wire.Report {
	r, _ := moverpod.Ending(mover)
	return r
}

// FailureOf is how a mover ended whose success cannot be marked. One that was deleted before it ended was interrupted,
// and one that was complete and vanished counts as such.
func FailureOf(mover *corev1.Pod) wire.Report {
	return moverpod.Vanishing(mover, moverpod.Interruption(mover))
}

// hashOf is a mover's request; an earlier version had a hash of its own, which never equals one of ours.
func hashOf(mover *corev1.Pod) string {
	return cmp.Or(
		mover.Annotations[v1alpha1.AnnotationRequestHash],
		mover.Annotations[v1alpha1.AnnotationSpecHash],
		"unknown",
	)
}
