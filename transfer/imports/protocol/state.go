// SPDX-License-Identifier: Apache-2.0

// Package protocol decides what becomes of an S3Import of a user, and builds its pod. It is pure: who has a
// client observes, acts and reports.
package protocol

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// State is all that a decision may rest on.
type State struct {
	Now    time.Time
	Import *v1alpha1.S3Import
	// Source, Claim and Users are read while the import is neither over nor deleted, and Claim also while a mover
	// of one that is over is there. Users are the pods that have not ended and name the claim, but for the movers
	// of this import.
	Source *v1alpha1.S3Source
	Claim  *corev1.PersistentVolumeClaim
	Users  []corev1.Pod
	// Unresolved tells that the source names an export that has not been found.
	Unresolved bool
	// Mover writes the volume.
	Mover *corev1.Pod
	// Vanished is a mover as it was last seen, that is gone: without a doing of ours, or complete by then.
	Vanished *corev1.Pod
	// Deleted tells that this manager deleted the mover: its end is no failure, whatever is wished now.
	Deleted bool
	// Ahead is the name of another S3Import into the same claim whose turn is before this one's.
	Ahead string
	// Busy is a mover of another S3Import that has not ended on the claim.
	Busy *corev1.Pod
	// Queued is where the mover stands that may not start yet; nil lets it start.
	Queued *queue.Position
}

// Action is what is done in one pass: one write, besides the status. That of NoteSelection is the status.
type Action string

// The actions.
const (
	Wait          Action = "Wait"
	NoteSelection Action = "NoteSelection"
	StartMover    Action = "StartMover"
	DeleteMover   Action = "DeleteMover"
	DeleteImport  Action = "DeleteImport"
)

// Decision is one action and what is told of it.
type Decision struct {
	Action Action
	// Phase and Reason of the condition Complete; without a Reason nothing is said.
	Phase   v1alpha1.ImportPhase
	Reason  v1alpha1.Reason
	Message string
	// Attempt is that of the mover that a StartMover came to, which may be there already and counted; 0: none was found.
	Attempt int32
	// Ended is the report of a mover whose end is counted now.
	Ended *wire.Report
	// Untold is that of a mover which is looked at again, also where it has vanished.
	Untold bool
	// Announce is the reason of an event that is no condition's.
	Announce v1alpha1.Reason
	Recheck  time.Duration
}

// Over tells that a run is Complete or Failed.
func Over(i *v1alpha1.S3Import) bool {
	return Complete(i) || meta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.ConditionFailed)
}

// Complete tells that everything is on the volume.
func Complete(i *v1alpha1.S3Import) bool {
	return meta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.ConditionComplete)
}

// begun tells that a mover has run.
func begun(i *v1alpha1.S3Import) bool { return i.Status.Attempts > 0 }

// OwnedBy tells that a pod was made for the import.
func OwnedBy(pod *corev1.Pod, i *v1alpha1.S3Import) bool {
	return types.UID(pod.Labels[v1alpha1.LabelImportUID]) == i.UID
}

// Users are the pods that have not ended and name a claim, but for the movers of one import.
func Users(pods []corev1.Pod, claim string, i *v1alpha1.S3Import) []corev1.Pod {
	return claimusers.Of(pods, claim, func(p *corev1.Pod) bool { return OwnedBy(p, i) })
}

// Busy is a mover of another import that has not ended on the claim, also where that import is suspended or gone. Two
// that write at once would each remove what the other has loaded, or bring back what it has replaced.
func Busy(i *v1alpha1.S3Import, claim *corev1.PersistentVolumeClaim, movers []corev1.Pod) *corev1.Pod {
	for n := range movers {
		p := &movers[n]
		if claim != nil && !OwnedBy(p, i) && p.Annotations[v1alpha1.AnnotationClaimUID] == string(claim.UID) &&
			!attempts.Ended(p) {
			return p
		}
	}
	return nil
}

// Ahead is the name of another import into the same claim whose turn is before that of i: one that has begun comes
// before one that has not, and the older one before the younger.
func Ahead(i *v1alpha1.S3Import, all []v1alpha1.S3Import) string {
	for n := range all {
		o := &all[n]
		if o.UID == i.UID || o.Spec.ClaimName != i.Spec.ClaimName || o.IsRecord() || !writes(o) || standsStill(o) {
			continue
		}
		if comesBefore(o, i) {
			return o.Name
		}
	}
	return ""
}

// writes tells that a run will write to its claim.
func writes(i *v1alpha1.S3Import) bool {
	return !Over(i) && !i.Spec.Suspend && i.DeletionTimestamp == nil
}

// standsStill tells that a run waits for something that may never come: it would keep back all others for ever. Where
// its source is gone only a person brings that back, whether the run has begun or not. Once it may go on, they take
// turns again.
func standsStill(i *v1alpha1.S3Import) bool {
	c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil {
		return false
	}
	lost := []v1alpha1.Reason{v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonExportNotFound}
	unable := []v1alpha1.Reason{v1alpha1.ReasonUserUnknown, v1alpha1.ReasonMoverRefused}
	reason := v1alpha1.Reason(c.Reason)
	return slices.Contains(lost, reason) || !begun(i) && slices.Contains(unable, reason)
}

func comesBefore(a, b *v1alpha1.S3Import) bool {
	if begun(a) != begun(b) {
		return begun(a)
	}
	if at, bt := a.CreationTimestamp, b.CreationTimestamp; !at.Equal(&bt) {
		return at.Before(&bt)
	}
	return a.Name < b.Name
}

// securityFor is as whom a mover writes the volume; false where nobody knows. Where no pod uses the claim it is as
// whom the source would fill one, whose fsGroup becomes a supplemental group.
func securityFor(s State, d moverpod.Defaults) (*corev1.PodSecurityContext, bool) {
	var own *corev1.PodSecurityContext
	if m := s.Import.Spec.Mover; m != nil {
		own = m.PodSecurityContext
	}
	c := moverpod.PopulatorSecurity(s.Source.Spec, d)
	if c.FSGroup != nil {
		c.SupplementalGroups = append(c.SupplementalGroups, *c.FSGroup)
	}
	return claimusers.Security(own, c, s.Users, s.Claim.Name)
}
