// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Notice is one line of a claim's timeline.
type Notice struct {
	Type   string // Normal or Warning.
	Reason v1alpha1.Reason
	Note   string
}

// quiet reasons are read in the condition; as events they would only repeat it.
var quiet = map[v1alpha1.Reason]bool{
	v1alpha1.ReasonWaitForFirstConsumer: true,
	v1alpha1.ReasonProvisioning:         true,
	v1alpha1.ReasonRebinding:            true,
	v1alpha1.ReasonSourceConflict:       true, // These two are told by whoever makes the source.
	v1alpha1.ReasonInvalidAnnotations:   true,
	v1alpha1.ReasonRescheduling:         true, // Announced when the node is given up.
	v1alpha1.ReasonVolumeAttached:       true,
	v1alpha1.ReasonInventoryPending:     true,
	v1alpha1.ReasonQueued:               true,
	v1alpha1.ReasonLeftAlone:            true,
	v1alpha1.ReasonPopulated:            true, // PopulationSucceeded tells it.
}

// first tells that a mover is the first of its population: PopulationStarted told of it.
func first(s State) bool {
	past := ReadAttempts(s.Prime)
	return past.Movers == 0
}

// EventsFor is pure: what a claim's user hears of a decision. Only a change of the
// condition's reason or status speaks, so a requeue never repeats itself.
func EventsFor(s State, d Decision) []Notice {
	var all []Notice
	if e, ok := announcement(s, d); ok {
		all = append(all, e)
	}
	was, _ := Populated(s.Claim)
	if d.Reason == "" || quiet[d.Reason] ||
		was.Reason == string(d.Reason) && was.Status == d.Status && d.Action != StartMover {
		return all
	}
	if d.Reason == v1alpha1.ReasonPopulating && (d.Action != StartMover || first(s)) {
		return all
	}
	kind := corev1.EventTypeWarning
	if d.Reason == v1alpha1.ReasonPopulating || d.Reason == v1alpha1.ReasonRequestChanged {
		kind = corev1.EventTypeNormal
	}
	return append(all, Notice{kind, d.Reason, cut(d.Message)})
}

func announcement(s State, d Decision) (Notice, bool) {
	switch d.Announce {
	case v1alpha1.ReasonPopulationStarted:
		return Notice{corev1.EventTypeNormal, d.Announce, fmt.Sprintf(
			"Prime claim %s is created; its volume is filled from S3Source %s and then becomes this claim's.",
			PrimeName(s.Claim),
			s.Claim.Spec.DataSourceRef.Name,
		)}, true
	case v1alpha1.ReasonPopulationSucceeded:
		note := "The claim is bound to its filled volume: " + d.Message
		if s.Prime != nil {
			note += fmt.Sprintf(" It took %s.", s.Now.Sub(s.Prime.CreationTimestamp.Time).Round(time.Second))
		}
		return Notice{corev1.EventTypeNormal, d.Announce, note}, true
	case v1alpha1.ReasonPopulationAborted:
		return Notice{
			corev1.EventTypeNormal,
			d.Announce,
			"The claim was deleted while it was filled; the mover and its volume are removed.",
		}, true
	case v1alpha1.ReasonWriteRefused, v1alpha1.ReasonRescheduling:
		return Notice{corev1.EventTypeWarning, d.Announce, cut(d.Message)}, true
	default:
		return Notice{}, false
	}
}

// LatestEvent is the message of the newest event.
func LatestEvent(all []corev1.Event) string {
	var newest *corev1.Event
	for i := range all {
		if newest == nil || eventTime(newest).Before(eventTime(&all[i])) {
			newest = &all[i]
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Reason + ": " + newest.Message
}

// eventTime is when an event was last seen, whichever API wrote it.
func eventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
