// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// shardsPerPod is how many shards there are for each pod that runs at a time: a slow one then holds up nobody.
const shardsPerPod = 4

// planPatience is how long a plan of a volume in use may wait for the Job that follows it; movers have the same limit
// for the plan of an attempt that failed. What is made on the volume meanwhile is in no shard.
const planPatience = time.Hour

// Parted tells that a run is shared by several movers.
func Parted(e *v1alpha1.S3Export) bool {
	return e.Spec.Parallelism > 1 && !e.Spec.DryRun && e.Spec.Destination.Key == ""
}

// StepOf is what the mover of a run does, or the next one; empty is all of it.
func StepOf(e *v1alpha1.S3Export) v1alpha1.ExportStep {
	switch {
	case !Parted(e):
		return ""
	case e.Status.Shards == nil:
		return v1alpha1.ExportPlan
	}
	return e.Status.Shards.Step
}

// setStep tells a mover which part of the run it has. The plan of an attempt that failed is tried again.
func setStep(o *wire.ExportOptions, e *v1alpha1.S3Export) {
	o.Step = wire.Step(StepOf(e))
	if o.Step == wire.StepPlan {
		o.Shards = shardsPerPod * int(e.Spec.Parallelism)
	}
	if o.Step != "" && e.Status.Shards != nil {
		o.Plan = e.Status.Shards.Plan
	}
}

// ofAnotherStep tells that the mover was made for another step than the one that is due, and that its end is not
// counted: who made it had not seen how far the run is.
func (s State) ofAnotherStep() bool {
	return s.Mover != nil && OwnedBy(s.Mover, s.Export) && s.Export.Status.EndedMover != string(s.Mover.UID) &&
		s.Mover.Annotations[v1alpha1.AnnotationStep] != string(StepOf(s.Export))
}

// endOtherStep ends such a mover and counts nothing: what it has done in S3 is found there by those that are due.
func endOtherStep(s State) (Decision, bool) {
	switch {
	case !s.ofAnotherStep():
		return Decision{}, false
	case s.Mover.DeletionTimestamp == nil:
		return Decision{Action: DeleteMover, Recheck: UsersEvery}, true
	}
	return waitForEnd(s), true
}

// advances says what comes after the end of a mover that has done its part; empty where it was the last one.
func advances(s State, r wire.Report) string {
	switch step := StepOf(s.Export); {
	case r.Class != wire.Done:
		return ""
	case step == v1alpha1.ExportPlan && s.Job == nil && r.Plan != "":
		return fmt.Sprintf("The export has a plan of %d shards.", r.Shards)
	case step == v1alpha1.ExportShard && s.Job != nil:
		return fmt.Sprintf("All %d shards are in S3.", s.Export.Status.Shards.Total)
	}
	return ""
}

// withoutManifest tells that a mover of a run with shards says that all is done, and is none that has written the
// manifest: only that makes an export complete. A Job never does.
func withoutManifest(s State, r wire.Report) bool {
	wrote := s.Job == nil && StepOf(s.Export) != v1alpha1.ExportShard && r.ManifestDigest != ""
	return Parted(s.Export) && r.Class == wire.Done && advances(s, r) == "" && !wrote
}

// advance notes the next step; false where there is none. After a failure, the plan is looked at first; where S3 does
// not hold what shards have left there, it is forgotten: by a new one every file is compared again.
func advance(next *v1alpha1.S3ExportStatus, s State, r wire.Report) bool {
	switch {
	case r.Class != wire.Done && r.Reason == wire.VerificationFailed:
		next.Shards = nil
		return false
	case r.Class != wire.Done:
		if next.Shards != nil {
			next.Shards.Step = v1alpha1.ExportPlan
		}
		return false
	case advances(s, r) == "":
		return false
	case StepOf(s.Export) == v1alpha1.ExportPlan:
		made := new(metav1.NewTime(s.Now.Truncate(time.Second)))
		if was := next.Shards; was != nil && was.Plan == r.Plan && was.PlanTime != nil {
			made = was.PlanTime // It was kept.
		}
		next.Shards = &v1alpha1.ExportShards{Plan: r.Plan, PlanTime: made, Step: v1alpha1.ExportShard, Total: r.Shards}
	default:
		next.Shards.Step, next.Shards.Done = v1alpha1.ExportFinish, next.Shards.Total
	}
	return true
}

// renewPlan has the plan of a volume in use be made anew where no Job could be made for too long, as behind others in
// the queue or while a pod had the volume for itself.
func renewPlan(s State) (Decision, bool) {
	if s.Mover != nil || StepOf(s.Export) != v1alpha1.ExportShard || Apart(s.Export) {
		return Decision{}, false
	}
	if at := s.Export.Status.Shards.PlanTime; at != nil && s.Now.Sub(at.Time) < planPatience {
		return Decision{}, false
	}
	d, _ := waiting(v1alpha1.ReasonExporting, soon,
		"The plan of the export is older than %s, and files may have been made since; another one is made.", planPatience)
	d.Replan = true
	return d, true
}

// forgetPlan: while a run is suspended, files may be made on the volume; a plan of before would leave them out.
func forgetPlan(next *v1alpha1.S3ExportStatus, s State, d Decision) {
	switch {
	case d.Action == CreateTemporaryClaim: // A plan is of the copy that was scanned.
		next.Shards = nil
	case d.Phase == v1alpha1.ExportSuspended && !Apart(s.Export):
		next.Shards = nil
	case d.Replan:
		next.Shards.Step = v1alpha1.ExportPlan
	}
}

func followJob(next *v1alpha1.S3ExportStatus, job *batchv1.Job) {
	if job != nil && next.Shards != nil {
		next.Shards.Done = job.Status.Succeeded
	}
}

// refuseShards: the pods of a Job would wait for each other for ever.
func refuseShards(s State) (Decision, bool) {
	if !Parted(s.Export) || Apart(s.Export) || !claimusers.OnePod(s.Claim) {
		return Decision{}, false
	}
	return failing(v1alpha1.ReasonSourceNotShareable,
		"Claim %s has the access mode ReadWriteOncePod: only one pod at a time can read it, and spec.parallelism is %d. "+
			"Make an S3Export with spec.parallelism: 1, or with spec.consistency: Snapshot or Clone.",
		s.Claim.Name, s.Export.Spec.Parallelism)
}

// placesFor is how many pods run at once.
func placesFor(e *v1alpha1.S3Export) int {
	if StepOf(e) == v1alpha1.ExportShard {
		return int(min(e.Spec.Parallelism, e.Status.Shards.Total))
	}
	return 1
}

// nextMover names what is to be made.
func nextMover(e *v1alpha1.S3Export) string {
	kind := "Pod "
	if StepOf(e) == v1alpha1.ExportShard {
		kind = "Job "
	}
	return kind + moverpod.ExportName(string(e.UID))
}

// moverName is how people find it.
func (s State) moverName() string {
	if s.Job != nil {
		return "Job " + s.Job.Name
	}
	return "Pod " + s.Mover.Name
}

// seeJob is why a Job has no pods, such as a quota, or where people find that; empty where there is no Job.
func (s State) seeJob() string {
	if s.Job == nil || s.Trouble != "" {
		return s.Trouble
	}
	return fmt.Sprintf("see `kubectl describe job %s`", s.Job.Name)
}

// interruption says who has ended a mover that had not ended itself.
func (s State) interruption() string {
	switch {
	case s.Job != nil:
		return s.moverName() + " was deleted by someone else before it had ended."
	case s.Vanished != nil && StepOf(s.Export) == v1alpha1.ExportShard:
		return nextMover(s.Export) + " and its pods were deleted by someone else before it had ended."
	}
	return moverpod.Interruption(s.Mover)
}

func doesNext(e *v1alpha1.S3Export) string {
	switch StepOf(e) {
	case v1alpha1.ExportPlan:
		return "makes the plan of the export"
	case v1alpha1.ExportShard:
		return fmt.Sprintf("sends %d shards of the export", e.Status.Shards.Total)
	case v1alpha1.ExportFinish:
		return "completes the export"
	}
	return "exports the volume"
}
