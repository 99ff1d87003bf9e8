// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// planned is the report of a mover that has left a plan.
var planned = wire.Report{Class: wire.Done, Plan: "sha256:p", Shards: 12, Objects: 100, Bytes: 1000}

func parallel(s *State) { s.Export.Spec.Parallelism = 3 }

// at is a run of 12 shards, three at a time, that has come to a step.
func at(step v1alpha1.ExportStep) change {
	return func(s *State) {
		parallel(s)
		begunOnce(s)
		s.Export.Status.Shards = &v1alpha1.ExportShards{
			Plan: "sha256:p", PlanTime: new(ago(time.Minute)), Step: step, Total: 12,
		}
		s.Export.Status.Objects, s.Export.Status.Bytes = 100, 1000
	}
}

func plannedAgo(d time.Duration) change {
	return func(s *State) { s.Export.Status.Shards.PlanTime = new(ago(d)) }
}

// shardPod is one of a Job.
func shardPod(name string, phase corev1.PodPhase, changes ...func(*corev1.Pod)) corev1.Pod {
	s := world(mover(phase, changes...))
	s.Mover.Name, s.Mover.UID = name, "p-"+s.Mover.UID
	ofStep(v1alpha1.ExportShard)(s.Mover)
	s.Mover.Annotations[v1alpha1.AnnotationProgress] = `{"phase":"Transferring","objectsDone":5,"bytesDone":50}`
	return *s.Mover
}

// ofStep has a mover be of a step, whichever is due.
func ofStep(step v1alpha1.ExportStep) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[v1alpha1.AnnotationStep] = string(step) }
}

// job is one that was made a minute ago for node a, and its pods.
func job(change func(*batchv1.Job), pods ...corev1.Pod) change {
	return func(s *State) {
		like := world(mover(corev1.PodPending, ofStep(v1alpha1.ExportShard))).Mover
		s.Job = &batchv1.Job{ObjectMeta: like.ObjectMeta}
		s.Job.UID = "m-1"
		if change != nil {
			change(s.Job)
		}
		s.Pods = pods
		s.Mover = MoverOfJob(s.Job, pods, s.Export.Status)
	}
}

func ended(kind batchv1.JobConditionType, message string) func(*batchv1.Job) {
	return func(j *batchv1.Job) {
		j.Status.Conditions = []batchv1.JobCondition{
			{Type: batchv1.JobFailureTarget, Status: corev1.ConditionFalse},
			{Type: kind, Status: corev1.ConditionTrue, Message: message},
		}
	}
}

func jobDeleted(j *batchv1.Job) { j.DeletionTimestamp = new(ago(time.Second)) }

func strayPods(pods ...corev1.Pod) change {
	return func(s *State) { s.Pods, s.Mover = pods, MoverOfJob(nil, pods, s.Export.Status) }
}

// A run with shards goes from its plan to its Job to its end, and whatever becomes of one of them is told.
func TestDecideOfShards(t *testing.T) {
	t.Parallel()
	running, failed := corev1.PodRunning, batchv1.JobFailed
	for name, test := range map[string]struct {
		in     State
		want   Action
		reason v1alpha1.Reason
		says   string
		step   v1alpha1.ExportStep // After it.
	}{
		"first a plan is made": {world(parallel), StartMover, v1alpha1.ReasonExporting, "makes the plan", ""},
		"the plan is there": {
			world(parallel, mover(corev1.PodSucceeded, reports(planned))),
			Wait, v1alpha1.ReasonExporting, "12 shards", v1alpha1.ExportShard,
		},
		"what is no work for two is complete": {
			world(parallel, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonExported, "3 objects", "",
		},
		"who has made the plan goes": {
			world(at(v1alpha1.ExportShard), mover(corev1.PodSucceeded, reports(planned)), told), DeleteMover, "", "", "Shard",
		},
		"a Job is made": {
			world(at(v1alpha1.ExportShard)), StartMover, v1alpha1.ReasonExporting, "Job export-e-1 sends 12 shards", "Shard",
		},
		"a Job waits for its places": {
			world(at(v1alpha1.ExportShard), queued), Wait, v1alpha1.ReasonQueued, "--max-movers", "Shard",
		},
		"it runs": {
			world(at(v1alpha1.ExportShard), job(nil, shardPod("a", running))),
			Wait, v1alpha1.ReasonExporting, "Job export-e-1 sends 12 shards", "Shard",
		},
		"it does not start": {
			world(at(v1alpha1.ExportShard), job(nil, shardPod("a", corev1.PodPending))),
			Wait, v1alpha1.ReasonMoverPending, "Job export-e-1 cannot start", "Shard",
		},
		"it has no pods": {
			world(at(v1alpha1.ExportShard), job(nil)),
			Wait, v1alpha1.ReasonMoverPending, "kubectl describe job export-e-1", "Shard",
		},
		"between two pods": {
			world(at(v1alpha1.ExportShard), job(func(j *batchv1.Job) { j.Status.Succeeded = 3 },
				shardPod("a", corev1.PodSucceeded, reports(done)))), Wait, v1alpha1.ReasonExporting, "sends", "Shard",
		},
		"a pod moved away": {
			world(at(v1alpha1.ExportShard), job(nil, shardPod("a", running)), users(user("app", "b"))),
			DeleteMover, "", "Job export-e-1 makes way for pod app", "Shard",
		},
		"suspended": {
			world(at(v1alpha1.ExportShard), job(nil, shardPod("a", running)), suspended),
			DeleteMover, v1alpha1.ReasonSuspended, "", "",
		},
		"suspended before the end": {
			world(at(v1alpha1.ExportFinish), suspended), Wait, v1alpha1.ReasonSuspended, "", "",
		},
		"suspended, and a copy is read": {
			world(at(v1alpha1.ExportShard), suspended, ofACopy), Wait, v1alpha1.ReasonSuspended, "", "Shard",
		},
		"suspended, and its pods are there": {
			world(parallel, begunOnce, suspended, job(jobDeleted, shardPod("a", running))), Wait, "", "", "",
		},
		"the plan is old": {
			world(at(v1alpha1.ExportShard), plannedAgo(time.Hour)), Wait, v1alpha1.ReasonExporting, "older than 1h", "Plan",
		},
		"the plan is old, and there is no place": {
			world(at(v1alpha1.ExportShard), plannedAgo(time.Hour), queued),
			Wait, v1alpha1.ReasonExporting, "older than 1h", "Plan",
		},
		"the plan is almost old": {
			world(at(v1alpha1.ExportShard), plannedAgo(time.Hour-time.Second)),
			StartMover, v1alpha1.ReasonExporting, "Job", "Shard",
		},
		"the plan is old, and the Job is there": {
			world(at(v1alpha1.ExportShard), plannedAgo(time.Hour), job(nil, shardPod("a", running))),
			Wait, v1alpha1.ReasonExporting, "sends 12 shards", "Shard",
		},
		"the plan is old, and all was sent": {
			world(at(v1alpha1.ExportFinish), plannedAgo(time.Hour)), StartMover, v1alpha1.ReasonExporting, "completes", "Finish",
		},
		"the plan of a copy is old": {
			world(at(v1alpha1.ExportShard), plannedAgo(time.Hour), ofACopy),
			Wait, v1alpha1.ReasonTemporaryClaimRefused, "s3export", "Shard",
		},
		"we ended it, and its pods are there": {
			world(at(v1alpha1.ExportShard), byUs, job(jobDeleted, shardPod("a", running))), Wait, "", "", "Shard",
		},
		"its pods are there, and it is not": {
			world(at(v1alpha1.ExportShard), byUs, strayPods(shardPod("a", running, deleting))), Wait, "", "", "Shard",
		},
		"its pods are there, and nobody has told them to end": {
			world(at(v1alpha1.ExportShard), byUs, strayPods(shardPod("a", running))), DeleteMover, "", "", "Shard",
		},
		"its pods are there, the export has failed, and nobody has told them to end": {
			world(at(v1alpha1.ExportShard), over(v1alpha1.ConditionFailed, time.Second), strayPods(shardPod("a", running))),
			DeleteMover, "", "", "Shard",
		},
		"its pods are there, and the export has failed": {
			world(at(v1alpha1.ExportShard), over(v1alpha1.ConditionFailed, time.Second),
				strayPods(shardPod("a", running, deleting))), Wait, "", "", "Shard",
		},
		"deleted, and nobody has told its pods to end": {
			world(at(v1alpha1.ExportShard), deleted, strayPods(shardPod("a", running))), DeleteMover, "", "", "Shard",
		},
		"pods that have ended are in nobody's way": {
			world(at(v1alpha1.ExportShard), strayPods(shardPod("a", corev1.PodSucceeded, reports(done)))),
			StartMover, v1alpha1.ReasonExporting, "Job", "Shard",
		},
		"its node is lost": {
			world(at(v1alpha1.ExportShard), byUs, job(func(j *batchv1.Job) { j.DeletionTimestamp = new(ago(time.Hour)) },
				shardPod("a", running))), Wait, v1alpha1.ReasonMoverLost, "kubectl delete pods -l", "Shard",
		},
		"somebody deleted it": {
			world(at(v1alpha1.ExportShard), job(jobDeleted, shardPod("a", running))),
			Wait, because(wire.Interrupted), "Job export-e-1 was deleted by someone else", "Plan",
		},
		"all are in S3": {
			world(at(v1alpha1.ExportShard), job(ended(batchv1.JobComplete, ""),
				shardPod("a", corev1.PodSucceeded, reports(done)))),
			Wait, v1alpha1.ReasonExporting, "All 12 shards", "Finish",
		},
		"only a person can help": {
			world(at(v1alpha1.ExportShard), job(ended(failed, "policy"), shardPod("a", corev1.PodFailed, reports(broken)),
				shardPod("b", corev1.PodFailed, reports(denied)))), Wait, because(wire.AccessDenied), "no.", "Plan",
		},
		"a shard has failed too often": {
			world(at(v1alpha1.ExportShard), job(ended(failed, "indexes"), shardPod("a", corev1.PodSucceeded, reports(done)),
				shardPod("b", corev1.PodFailed, reports(broken)))), Wait, because(wire.TransferFailed), "tried again", "Plan",
		},
		"it has failed without a word": {
			world(at(v1alpha1.ExportShard), job(ended(failed, "because"))),
			Wait, because(wire.TransferFailed), "The Job has failed: because", "Plan",
		},
		"a Job that is counted goes": {
			world(at(v1alpha1.ExportFinish), job(ended(batchv1.JobComplete, "")), told), DeleteMover, "", "", "Finish",
		},
		"the last pod is made": {
			world(at(v1alpha1.ExportFinish)), StartMover, v1alpha1.ReasonExporting, "completes the export", "Finish",
		},
		"complete": {
			world(at(v1alpha1.ExportFinish), mover(corev1.PodSucceeded, reports(done))),
			Wait, v1alpha1.ReasonExported, "3 objects", "Finish",
		},
		"the last pod has told of no manifest": {
			world(at(v1alpha1.ExportFinish), mover(corev1.PodSucceeded, reports(wire.Report{Class: wire.Done, Objects: 3}))),
			Wait, because(wire.VerificationFailed), "has not told of the manifest", "",
		},
		"the first pod has told of neither a plan nor a manifest": {
			world(parallel, mover(corev1.PodSucceeded, reports(wire.Report{Class: wire.Done, Objects: 3}))),
			Wait, because(wire.VerificationFailed), "has not told of the manifest", "",
		},
		"a Job has ended when the last pod is due": {
			world(at(v1alpha1.ExportFinish), job(ended(batchv1.JobComplete, ""))), DeleteMover, "", "", "Finish",
		},
		"a Job has ended when a plan is due": {
			world(at(v1alpha1.ExportPlan), job(ended(batchv1.JobComplete, ""))), DeleteMover, "", "", "Plan",
		},
		"a Job has ended, and nobody knows a plan": {
			world(parallel, job(ended(batchv1.JobComplete, ""))), DeleteMover, "", "", "",
		},
		"a Job has failed when the last pod is due": {
			world(at(v1alpha1.ExportFinish), job(ended(failed, "x"))), DeleteMover, "", "", "Finish",
		},
		"a Job runs when a plan is due": {
			world(at(v1alpha1.ExportPlan), job(nil, shardPod("a", running))), DeleteMover, "", "", "Plan",
		},
		"a Job is deleted when a plan is due": {
			world(at(v1alpha1.ExportPlan), job(jobDeleted, shardPod("a", running))), Wait, "", "", "Plan",
		},
		"pods are there whose Job is gone, when the last pod is due": {
			world(at(v1alpha1.ExportFinish), strayPods(shardPod("a", running, deleting))), Wait, "", "", "Finish",
		},
		"a plan is made once more": {
			world(at(v1alpha1.ExportShard), mover(corev1.PodSucceeded, ofStep(v1alpha1.ExportPlan), reports(planned))),
			DeleteMover, "", "", "Shard",
		},
		"the last pod has ended when shards are due": {
			world(at(v1alpha1.ExportShard), mover(corev1.PodSucceeded, ofStep(v1alpha1.ExportFinish), reports(done))),
			DeleteMover, "", "", "Shard",
		},
		"the end has failed": {
			world(at(v1alpha1.ExportFinish), mover(corev1.PodFailed, reports(broken))),
			Wait, because(wire.TransferFailed), "tried again", "Plan",
		},
		"S3 does not hold what was sent": {
			world(at(v1alpha1.ExportFinish), mover(corev1.PodFailed, reports(wire.Report{
				Class: wire.Retry, Reason: wire.VerificationFailed, Message: "overwritten",
			}))), Wait, because(wire.VerificationFailed), "tried again", "",
		},
		"another claim has the name": {
			world(at(v1alpha1.ExportShard), another, job(ended(batchv1.JobComplete, ""))),
			Wait, v1alpha1.ReasonClaimReplaced, "another one", "Plan",
		},
		"deleted": {
			world(at(v1alpha1.ExportShard), deleted, job(nil, shardPod("a", running))), DeleteMover, "", "", "Shard",
		},
		"deleted, and its pods are there": {
			world(at(v1alpha1.ExportShard), deleted, strayPods(shardPod("a", running, deleting))), Wait, "", "", "Shard",
		},
		"deleted, and its pods are gone": {world(at(v1alpha1.ExportShard), deleted), StartAbort, "", "", "Shard"},
		"one pod only": {
			world(parallel, access(corev1.ReadWriteOncePod), users()),
			Wait, v1alpha1.ReasonSourceNotShareable, "spec.parallelism: 1", "",
		},
		"one pod only, and a copy is read": {
			world(parallel, access(corev1.ReadWriteOncePod), users(), func(s *State) {
				s.Export.Spec.Consistency = v1alpha1.ConsistencyClone
			}), Wait, v1alpha1.ReasonClaimNotBound, "volume of claim data", "",
		},
		"a dry run has no shards": {
			world(parallel, dryRun, unguarded), StartMover, v1alpha1.ReasonExporting, "exports the volume", "",
		},
		"one key has none": {
			world(parallel, func(s *State) { s.Export.Spec.Destination.Key = "k" }),
			StartMover, v1alpha1.ReasonExporting, "exports the volume", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(test.in, defaults)
			if d.Action != test.want || d.Reason != test.reason || !strings.Contains(d.Message, test.says) {
				t.Errorf("decided %+v, want %s %q with %q", d, test.want, test.reason, test.says)
			}
			next := Status(test.in, d)
			step := v1alpha1.ExportStep("")
			if next.Shards != nil {
				step = next.Shards.Step
			}
			if step != test.step {
				t.Errorf("the next step is %q, want %q", step, test.step)
			}
		})
	}
}

// What the shards do is one attempt, with one plan, and told as one progress.
func TestStatusOfShards(t *testing.T) {
	t.Parallel()
	s := world(at(v1alpha1.ExportShard), job(func(j *batchv1.Job) { j.Status.Succeeded = 4 },
		shardPod("a", corev1.PodRunning), shardPod("b", corev1.PodRunning),
		shardPod("c", corev1.PodSucceeded, reports(wire.Report{Class: wire.Done, Objects: 20, Bytes: 200})),
		shardPod("d", corev1.PodFailed, reports(broken))))
	next := Status(s, Decide(s, defaults))
	if next.Attempts != 1 || next.Shards.Done != 4 || next.Progress == nil || next.Progress.Percent != 30 ||
		next.Progress.Objects.Done != 30 || next.Progress.Objects.Total != 100 {
		t.Errorf("the status is %+v, progress %+v", next, next.Progress)
	}
	if s := world(at(v1alpha1.ExportShard)); Status(s, Decision{Action: CreateTemporaryClaim}).Shards != nil {
		t.Error("the plan of another copy is kept")
	}
	for step, want := range map[v1alpha1.ExportStep]int32{
		v1alpha1.ExportPlan: 2, v1alpha1.ExportShard: 1, v1alpha1.ExportFinish: 1,
	} {
		s := world(at(step))
		if got := Status(s, Decide(s, defaults)).Attempts; got != want {
			t.Errorf("step %s is attempt %d, want %d", step, got, want)
		}
	}
	if got := PlaceFor(world(at(v1alpha1.ExportShard)).Export).Places; got != 3 {
		t.Errorf("a Job takes %d places, want 3", got)
	}
	if got := PlaceFor(world(at(v1alpha1.ExportFinish)).Export).Places; got != 1 {
		t.Errorf("a pod takes %d places, want 1", got)
	}
}
