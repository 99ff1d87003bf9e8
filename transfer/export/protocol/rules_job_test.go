// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// toldToEnd is a pod whose grace period was over some time ago.
func toldToEnd(d time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.DeletionTimestamp = new(ago(d)) }
}

func endedFor(d time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State.Terminated.FinishedAt = ago(d) }
}

func unschedulable(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "no node",
	}}
}

// A Job that does not get on, and whom it waits for.
func TestDecideOfAJobThatWaits(t *testing.T) {
	t.Parallel()
	running := corev1.PodRunning
	exporting, lost := v1alpha1.ReasonExporting, v1alpha1.ReasonMoverLost
	for name, tt := range map[string]struct {
		pods   []corev1.Pod
		reason v1alpha1.Reason
		says   string
	}{
		"the only pod's node is lost": {
			[]corev1.Pod{shardPod("a", running, toldToEnd(time.Hour))}, lost, "kubectl delete pod a --force",
		},
		"the node of all that run is lost": {
			[]corev1.Pod{
				shardPod("b", running, toldToEnd(time.Hour)), shardPod("a", running, toldToEnd(time.Minute)),
				shardPod("c", corev1.PodSucceeded, reports(done)),
			}, lost, "11:00:00 UTC and are still there. If their node is gone for good, delete them: kubectl delete pod a b --f",
		},
		"a pod was told to end a moment ago": {
			[]corev1.Pod{shardPod("a", running, toldToEnd(time.Hour)), shardPod("b", running, toldToEnd(time.Second))},
			exporting, "sends",
		},
		"between two pods": {
			[]corev1.Pod{shardPod("a", corev1.PodSucceeded, reports(done), endedFor(19*time.Second))}, exporting, "sends",
		},
		"no pod follows": {
			[]corev1.Pod{shardPod("a", corev1.PodSucceeded, reports(done), endedFor(20*time.Second))},
			v1alpha1.ReasonMoverPending, "kubectl describe job export-e-1",
		},
		"the next pod was made a moment ago": {
			[]corev1.Pod{
				shardPod("a", corev1.PodSucceeded, reports(done), endedFor(time.Minute)),
				shardPod("b", corev1.PodPending, func(p *corev1.Pod) { p.CreationTimestamp = ago(5 * time.Second) }),
			}, exporting, "sends",
		},
		"the next pod does not start": {
			[]corev1.Pod{
				shardPod("a", corev1.PodSucceeded, reports(done), endedFor(time.Minute)),
				shardPod("b", corev1.PodPending, unschedulable),
			}, v1alpha1.ReasonMoverPending, "no node",
		},
		"another one runs": {
			[]corev1.Pod{shardPod("a", running, toldToEnd(time.Hour)), shardPod("b", running)}, exporting, "sends",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(at(v1alpha1.ExportShard), job(func(j *batchv1.Job) { j.Status.Succeeded = 1 }, tt.pods...))
			d := Decide(s, defaults)
			if d.Action != Wait || d.Reason != tt.reason || !strings.Contains(d.Message, tt.says) {
				t.Errorf("decided %+v, want %s with %q", d, tt.reason, tt.says)
			}
		})
	}
}

// The pods of a Job that the API server refuses are told of by events alone: those are read when no pod is there that
// says something itself, and are what the export says.
func TestAJobThatLacksPods(t *testing.T) {
	t.Parallel()
	made := func(d time.Duration) func(*batchv1.Job) {
		return func(j *batchv1.Job) { j.CreationTimestamp = ago(d) }
	}
	for name, tt := range map[string]struct {
		in    change
		lacks bool
		says  string
	}{
		"it was made a moment ago":   {in: job(made(19 * time.Second)), says: "sends 12 shards"},
		"no pod was made":            {in: job(made(20 * time.Second)), lacks: true, says: "yet: FailedCreate: quota"},
		"it ends":                    {in: job(jobDeleted)},
		"it has failed":              {in: job(ended(batchv1.JobFailed, "x")), says: "x. It is tried again"},
		"a pod runs":                 {in: job(nil, shardPod("a", corev1.PodRunning)), says: "sends 12 shards"},
		"a pod waits and says why":   {in: job(nil, shardPod("a", corev1.PodPending, unschedulable)), says: "no node"},
		"a pod waits without a word": {in: job(nil, shardPod("a", corev1.PodPending)), says: "see `kubectl describe job"},
		"no pod follows a moment after the last": {
			in: job(nil, shardPod("a", corev1.PodSucceeded, reports(done), endedFor(19*time.Second))), says: "sends 12 shards",
		},
		"no pod follows": {
			in:    job(nil, shardPod("a", corev1.PodSucceeded, reports(done), endedFor(20*time.Second))),
			lacks: true, says: "yet: FailedCreate: quota",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(at(v1alpha1.ExportShard), tt.in)
			if got := LacksPods(s); got != tt.lacks {
				t.Errorf("it lacks pods: %v, want %v", got, tt.lacks)
			}
			if LacksPods(s) {
				s.Trouble = "FailedCreate: quota"
			}
			if d := Decide(s, defaults); !strings.Contains(d.Message, tt.says) {
				t.Errorf("the export says %q, want %q", d.Message, tt.says)
			}
		})
	}
	if s := world(mover(corev1.PodPending)); LacksPods(s) {
		t.Error("a pod by itself is taken for a Job without pods")
	}
}
