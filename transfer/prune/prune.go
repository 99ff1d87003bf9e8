// SPDX-License-Identifier: Apache-2.0

// Package prune removes from S3 what complete S3Exports have sent that an S3ExportPolicy has marked, and then the
// S3Exports. The pod that does it has the credentials of the export; the manager neither reads Secrets nor asks S3.
// docs/design has the page.
//
// Every pass is observe, decide, act. What is decided is pure.
package prune

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/retention"
)

const (
	// pruneEvery is the least time between two movers of a run; correctedEvery is that where somebody has to correct
	// something first.
	pruneEvery     = 5 * time.Minute
	correctedEvery = time.Hour
	// startPatience is how long a mover may wait for its node, image or mounts before that is told.
	startPatience = 2 * time.Minute
	// turnEvery is how often is looked whether it is a run's turn.
	turnEvery = 30 * time.Second
)

// state is everything that a decision rests on.
type state struct {
	Now    time.Time
	Export *v1alpha1.S3Export
	// Policy is the one that it belongs to; nil where that is gone.
	Policy *v1alpha1.S3ExportPolicy
	// Runs are all exports of the namespace, Sources those of all namespaces.
	Runs    []v1alpha1.S3Export
	Sources []v1alpha1.S3Source
	// Mover removes the objects; nil for none of ours.
	Mover *corev1.Pod
}

type action string

const (
	wait         action = "Wait"
	startMover   action = "StartMover"
	deleteMover  action = "DeleteMover"
	deleteExport action = "DeleteExport"
	// takeBack has the run count as complete again.
	takeBack action = "TakeBack"
)

// decision is one write, and what is told of it once.
type decision struct {
	Action action
	// Kept are the runs that must be whole before anything is removed.
	Kept    []*v1alpha1.S3Export
	Reason  v1alpha1.Reason
	Normal  bool // Else the event is a Warning.
	Message string
	Recheck time.Duration
}

// decide looks at one export:
//
//	export                    mover                     then
//	not marked, or deleted,   any                       nothing
//	or not alone in its
//	prefix
//	marked                    active                    wait
//	marked                    done                      tell, and the export goes
//	marked, but not now, as   failed, before anything   tell, and take the mark back
//	its policy has changed    was removed
//	marked                    failed                    after a while: tell, and remove it, so that another is made
//	marked, of no policy      none                      tell, and wait
//	marked, before its turn   none                      wait
//	marked, needed by a       none                      tell, and wait
//	source or a run
//	marked, none that is      none                      tell, and wait
//	newer stays
//	marked                    none                      start one
func decide(s state) decision {
	e := s.Export
	if !retention.Pruning(e) || e.DeletionTimestamp != nil || !retention.HasOwnPrefix(e) {
		return decision{Action: wait}
	}
	if s.Mover != nil {
		return judge(s)
	}
	if retention.PolicyOf(e) == nil {
		return decision{Action: wait, Recheck: correctedEvery, Reason: v1alpha1.ReasonPruneHeld, Message: orphaned(e)}
	}
	if first := s.first(); first.UID != e.UID {
		return decision{Action: wait, Recheck: turnEvery}
	}
	if why := retention.NeededBy(e, s.Sources, s.Runs); why != "" {
		return decision{
			Action: wait, Recheck: pruneEvery, Reason: v1alpha1.ReasonPruneHeld,
			Message: fmt.Sprintf("What S3Export %s has exported is not removed for now: %s.", e.Name, why),
		}
	}
	kept := retention.Beside(e, s.siblings())
	if len(kept) == 0 || older(kept[0], e) < 0 { // Whoever has deleted those that were newer may need this one.
		return decision{
			Action: wait, Recheck: correctedEvery, Reason: v1alpha1.ReasonPruneHeld,
			Message: "What this run has exported is not removed, because no newer complete run of its claim is in its bucket. " +
				"Delete the S3Export, and its objects, if they are not needed.",
		}
	}
	return decision{Action: startMover, Kept: kept}
}

// orphaned tells of a run whose policy was deleted without it: nobody knows which runs are to stay, nor how much of
// this one is left.
func orphaned(e *v1alpha1.S3Export) string {
	return fmt.Sprintf("S3Export %s was marked by an S3ExportPolicy that it does not belong to any more, so that what it "+
		"has exported is not removed, and is not found by fromExport either. It is all there if %s%s is; an S3Source with "+
		"the prefix %s then restores it. Delete the S3Export, and its objects, if they are not needed.",
		e.Name, e.Status.Prefix, manifestKey, e.Status.Prefix)
}

// manifestKey is where the manifest of a run is, below its prefix.
const manifestKey = wire.JournalDir + "/manifest.json"

// judge looks at a mover that there is.
func judge(s state) decision {
	r, over := moverpod.Ending(s.Mover)
	switch {
	case s.Mover.DeletionTimestamp != nil:
		return decision{Action: wait}
	case !over:
		return pending(s)
	}
	if r.Class == wire.Done {
		return decision{
			Action: deleteExport, Reason: v1alpha1.ReasonPruned, Normal: r.OtherObjects == 0,
			Message: fmt.Sprintf("What S3Export %s had exported to %s: %s.", s.Export.Name, s.Export.Status.Location, r.Message),
		}
	}
	if d, ok := giveUp(s, r); ok {
		return d
	}
	every := pruneEvery
	if r.Class == wire.User {
		every = correctedEvery
	}
	if left := s.Mover.CreationTimestamp.Add(every).Sub(s.Now); left > 0 {
		return decision{Action: wait, Recheck: left, Reason: v1alpha1.ReasonPruneHeld, Message: held(s, r)}
	}
	return decision{Action: deleteMover, Recheck: time.Second}
}

// pending tells of a mover that does not start.
func pending(s state) decision {
	if s.Mover.Status.Phase != corev1.PodPending {
		return decision{Action: wait}
	}
	if left := s.Mover.CreationTimestamp.Add(startPatience).Sub(s.Now); left > 0 {
		return decision{Action: wait, Recheck: left}
	}
	return decision{
		Action: wait, Recheck: pruneEvery, Reason: v1alpha1.ReasonPruneHeld,
		Message: fmt.Sprintf("What S3Export %s has exported is not removed for now: pod %s cannot start: %s", s.Export.Name,
			s.Mover.Name, moverpod.PendingReason(s.Mover, "")),
	}
}

func held(s state, r wire.Report) string {
	return fmt.Sprintf("What S3Export %s has exported is not removed for now: %s (%s). It is tried again.", s.Export.Name,
		strings.TrimRight(r.Message, ". "), r.Reason)
}

// siblings are the runs of the same policy and claim, newest first.
func (s state) siblings() []*v1alpha1.S3Export {
	var all []*v1alpha1.S3Export
	for i := range s.Runs {
		if r := &s.Runs[i]; ownerOf(r) == ownerOf(s.Export) &&
			r.Labels[v1alpha1.LabelClaimUID] == s.Export.Labels[v1alpha1.LabelClaimUID] {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *v1alpha1.S3Export) int { return older(b, a) })
	return all
}

// first is the export of the same policy whose turn it is: nobody waits for their objects to go. One that is held for
// long keeps back those of its claim alone.
func (s state) first() *v1alpha1.S3Export {
	first := s.Export
	for i := range s.Runs {
		r := &s.Runs[i]
		waits := retention.Pruning(r) && retention.HasOwnPrefix(r) && r.DeletionTimestamp == nil && !s.passed(r)
		if waits && ownerOf(r) == ownerOf(s.Export) && older(r, first) < 0 {
			first = r
		}
	}
	return first
}

// passed tells of a run of another claim that has been marked for long.
func (s state) passed(r *v1alpha1.S3Export) bool {
	return r.Labels[v1alpha1.LabelClaimUID] != s.Export.Labels[v1alpha1.LabelClaimUID] &&
		retention.PruneLeft(r, s.Now) == 0
}

func older(a, b *v1alpha1.S3Export) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// ownerOf is the policy of an export. Those of none have nothing in common.
func ownerOf(e *v1alpha1.S3Export) string {
	if ref := retention.PolicyOf(e); ref != nil {
		return string(ref.UID)
	}
	return "export " + string(e.UID)
}
