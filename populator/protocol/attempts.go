// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Back-off between attempts: 10 s, doubled each time, at most 5 min. The first is short
// because most failures are a server that restarts; the last keeps six attempts in ten minutes.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
)

// defaultRetries is the limit where the source, now gone, cannot tell.
const defaultRetries = 6

// disruptionLimit bounds attempts that ended from outside. It is generous because an
// eviction is nobody's mistake, and finite because a pod that always kills its node is.
const disruptionLimit = 50

// Attempts is the prime's memory of what failed, written before a failed mover is
// deleted, so that no crash forgets it. It survives the mover's garbage collection.
type Attempts struct {
	// Hash of the source spec and retry token that failed; another one starts afresh.
	Hash string `json:"hash"`
	// Failures count towards spec.retries.limit, Disruptions (evictions, lost nodes) do not.
	Failures    int `json:"failures"`
	Disruptions int `json:"disruptions,omitempty"`
	// Mover is the UID of the latest failed pod, so that none is counted twice.
	Mover string    `json:"mover"`
	At    time.Time `json:"at"`
	// Terminal: only another Hash tries again.
	Terminal bool        `json:"terminal,omitempty"`
	Reason   wire.Reason `json:"reason"`
	Message  string      `json:"message"`
}

// ReadAttempts is zero where there were none; a damaged annotation counts as none.
func ReadAttempts(Prime *corev1.PersistentVolumeClaim) Attempts {
	var a Attempts
	if json.Unmarshal([]byte(Prime.Annotations[v1alpha1.AnnotationAttempts]), &a) != nil {
		return Attempts{}
	}
	return a
}

// After adds the failure of a mover to the attempts so far.
func (a Attempts) After(mover *corev1.Pod, now time.Time) Attempts {
	hash := mover.Annotations[v1alpha1.AnnotationSpecHash]
	next := Attempts{Hash: hash, Mover: string(mover.UID), At: now.UTC().Truncate(time.Second)}
	if a.Hash == hash {
		next.Failures, next.Disruptions = a.Failures, a.Disruptions
	}
	r := Ending(mover)
	next.Reason, next.Message = r.Reason, r.Message
	next.Terminal = r.Class == wire.User
	if moverpod.Disrupted(mover) {
		next.Disruptions++
	} else {
		next.Failures++
	}
	return next
}

// exhausted tells that no further attempt is made for the same hash.
func (a Attempts) exhausted(limit int) bool {
	return a.Terminal || a.Failures > limit || a.Disruptions > disruptionLimit
}

// next is when the following attempt may begin.
func (a Attempts) next() time.Time {
	wait := firstBackoff
	for range min(a.Failures+a.Disruptions-1, 10) {
		wait = min(2*wait, lastBackoff)
	}
	return a.At.Add(wait)
}

// number of the mover that would be started now, from 1.
func (a Attempts) number(hash string) int {
	if a.Hash != hash {
		return 1
	}
	return a.Failures + a.Disruptions + 1
}

// Ending is a finished mover's report.
func Ending(mover *corev1.Pod) wire.Report {
	r, _ := moverpod.Ending(mover)
	return r
}
