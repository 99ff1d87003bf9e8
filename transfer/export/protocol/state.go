// SPDX-License-Identifier: Apache-2.0

// Package protocol decides what becomes of an S3Export, and builds its pods. It is pure: who has a
// client observes, acts and reports.
package protocol

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// State is all that a decision may rest on.
type State struct {
	Now time.Time
	// Started is when this manager began: what was due before is counted from then.
	Started time.Time
	Export  *v1alpha1.S3Export
	// Claim and Users are read while the export is neither over nor deleted, and Claim also of one that is over while
	// a mover of it is there, or if it is one before a deletion. Users are the pods that have not ended and name the
	// claim, but for the movers of this export.
	Claim *corev1.PersistentVolumeClaim
	Users []corev1.Pod
	// Taken tells that the volume of a run before a deletion was not given back yet. It is read where the run is over
	// and Claim is not there.
	Taken bool
	// Mover reads the volume, Abort ends what uploads it has left.
	Mover, Abort *corev1.Pod
	// Job sends the shards of a run; Mover is then what it and its pods are to the rules, see MoverOfJob.
	Job *batchv1.Job
	// Pods are those of the Job, also where it is gone.
	Pods []corev1.Pod
	// Vanished is a mover as it was last seen, also one that was a Job, that is gone without a doing of ours.
	Vanished *corev1.Pod
	// Trouble is the latest Warning event of a Job that lacks pods.
	Trouble string
	// Deleted tells that this manager deleted the mover: its end is no failure, whatever is wished now.
	Deleted bool
	// Ahead is another run with the same destination whose turn is before this one's.
	Ahead *v1alpha1.S3Export
	// Shared is a run of another claim, of any namespace, that has written to the same destination.
	Shared *v1alpha1.S3Export
	// Runs are all exports of the namespace; one of them may be what unchanged files are copied from. Of a run that is
	// over and expires they are those of its claim.
	Runs []v1alpha1.S3Export
	// Queued is where the mover stands that may not start yet; nil lets it start.
	Queued *queue.Position
	// Temporary is what a run with consistency Snapshot or Clone reads from.
	Temporary Temporary
	// Prefix of the objects, and why there is none.
	Prefix      string
	PrefixError error
}

// Action is what is done in one pass: one write, besides the status.
type Action string

// The actions.
const (
	Wait            Action = "Wait"
	AddFinalizer    Action = "AddFinalizer"
	StartMover      Action = "StartMover"
	DeleteMover     Action = "DeleteMover"
	StartAbort      Action = "StartAbort"
	DeleteAbort     Action = "DeleteAbort"
	RemoveFinalizer Action = "RemoveFinalizer"
	DeleteExport    Action = "DeleteExport"

	CreateSnapshot       Action = "CreateSnapshot"
	CreateTemporaryClaim Action = "CreateTemporaryClaim"
	StartConsumer        Action = "StartConsumer"
	DeleteConsumer       Action = "DeleteConsumer"
	KeepVolume           Action = "KeepVolume"
	DeleteTemporaryClaim Action = "DeleteTemporaryClaim"
	DeleteSnapshot       Action = "DeleteSnapshot"
)

// Decision is one action and what is told of it.
type Decision struct {
	Action Action
	// Phase and Reason of the condition Complete; without a Reason nothing is said.
	Phase   v1alpha1.ExportPhase
	Reason  v1alpha1.Reason
	Message string
	// Attempt is that of the mover that a StartMover came to, which may be there already and counted; 0: none was found.
	Attempt int32
	// Ended is the report of a mover whose end is counted now.
	Ended *wire.Report
	// Replan has the next mover look at the plan of the run again.
	Replan bool
	// Aborted is how many uploads were ended.
	Aborted *int64
	// Remains is why something temporary could not be removed; empty where nothing was to be, or it was.
	Remains string
	// Announce is the reason of an event that is no condition's.
	Announce v1alpha1.Reason
	Recheck  time.Duration
}

// Over tells that a run is Complete or Failed.
func Over(e *v1alpha1.S3Export) bool { return Complete(e) || failed(e) }

// Complete tells that everything is in S3.
func Complete(e *v1alpha1.S3Export) bool {
	return meta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionComplete)
}

func failed(e *v1alpha1.S3Export) bool {
	return meta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionFailed)
}

// Guarded tells that uploads of a run may be open, or that something temporary of it may be there.
func Guarded(e *v1alpha1.S3Export) bool {
	return slices.Contains(e.Finalizers, v1alpha1.FinalizerExport)
}

// begun tells that a mover has run.
func begun(e *v1alpha1.S3Export) bool { return e.Status.Attempts > 0 }

// OwnedBy tells that a pod was made for the export.
func OwnedBy(pod *corev1.Pod, e *v1alpha1.S3Export) bool {
	return types.UID(pod.Labels[v1alpha1.LabelExportUID]) == e.UID
}

// Users are the pods that have not ended and name a claim, but for the movers of one export.
func Users(pods []corev1.Pod, claim string, export *v1alpha1.S3Export) []corev1.Pod {
	return claimusers.Of(pods, claim, func(p *corev1.Pod) bool { return OwnedBy(p, export) })
}

// securityFor is as whom a mover reads the volume; false where nobody knows.
func securityFor(s State, d moverpod.Defaults) (*corev1.PodSecurityContext, bool) {
	return claimusers.Security(s.Export.Spec.Mover.PodSecurityContext, claimusers.Unused(d), s.Users, claimOf(s))
}

func claimOf(s State) string {
	if s.Claim == nil {
		return ""
	}
	return s.Claim.Name
}
