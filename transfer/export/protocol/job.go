// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// shardTries is how often the Job makes a pod for a shard again that has failed without progress. What fails more
// often is an attempt of the run that has failed, and counts in spec.retries.
const shardTries = 2

// Job sends the shards of a run. A pod that has made progress, or waits for S3, or was evicted counts for nothing; one
// that only a person can help ends it. No shard has two pods at once.
func Job(s State, o Options) (*batchv1.Job, error) {
	pod, err := Mover(s, o)
	if err != nil {
		return nil, err
	}
	e, exit := s.Export, func(c wire.Class) *batchv1.PodFailurePolicyOnExitCodesRequirement {
		return &batchv1.PodFailurePolicyOnExitCodesRequirement{
			ContainerName: new(moverpod.ContainerName), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn,
			Values: []int32{int32(c.ExitCode())}, //nolint:gosec // G115: 4 at most.
		}
	}
	tries := int32(shardTries)
	if limit := e.Spec.Retries.Limit; limit != nil {
		tries = min(tries, *limit)
	}
	return &batchv1.Job{
		ObjectMeta: *pod.ObjectMeta.DeepCopy(),
		Spec: batchv1.JobSpec{
			CompletionMode: new(batchv1.IndexedCompletion),
			Completions:    &e.Status.Shards.Total, Parallelism: &e.Spec.Parallelism,
			BackoffLimitPerIndex: &tries, PodReplacementPolicy: new(batchv1.Failed),
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
				{
					Action: batchv1.PodFailurePolicyActionIgnore,
					OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
						{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
					},
				},
				{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: exit(wire.User)},
				{Action: batchv1.PodFailurePolicyActionIgnore, OnExitCodes: exit(wire.RetryUncounted)},
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec,
			},
		},
	}, nil
}

// MoverOfJob is what a Job and its pods are to the rules: one mover, that has ended when the Job has, and is being
// deleted as long as pods are there whose Job is gone. It is nil where there is nothing.
func MoverOfJob(job *batchv1.Job, pods []corev1.Pod, total v1alpha1.S3ExportStatus) *corev1.Pod {
	if job == nil {
		return strays(pods)
	}
	m := &corev1.Pod{ObjectMeta: *job.ObjectMeta.DeepCopy()}
	m.Status.Phase = corev1.PodPending
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	state(m, pods)
	if text, err := json.Marshal(progressOf(pods, total)); err == nil {
		m.Annotations[v1alpha1.AnnotationProgress] = string(text)
	}
	for _, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			end(m, reportOf(c, pods, total))
		}
	}
	return m
}

// state has a mover run where a pod of the Job does, or else wait for what one waits for.
func state(m *corev1.Pod, pods []corev1.Pod) {
	for i := range pods {
		p := &pods[i]
		if attempts.Ended(p) {
			continue
		}
		m.Spec.NodeName = cmp.Or(m.Spec.NodeName, p.Spec.NodeName)
		switch {
		case attempts.Running(p):
			m.Status.Phase = corev1.PodRunning
		case len(m.Status.Conditions) == 0: // What it waits for.
			m.Status.Conditions, m.Status.ContainerStatuses = p.Status.Conditions, p.Status.ContainerStatuses
		}
	}
}

// strays are pods that are still there although their Job is not. Whichever of them are left, they are that one Job,
// whose end is counted once.
func strays(pods []corev1.Pod) *corev1.Pod {
	var m *corev1.Pod
	for i := range pods {
		p := pods[i].DeepCopy()
		if attempts.Ended(p) {
			continue
		}
		p.UID = jobOf(p)
		if p.DeletionTimestamp == nil {
			p.DeletionTimestamp = &p.CreationTimestamp
		}
		switch {
		case m == nil, p.UID < m.UID, p.UID == m.UID && p.Name < m.Name:
			m = p
		}
	}
	return m
}

// jobOf is the UID of the Job of a pod, which stays on it as a label when its owner is taken away.
func jobOf(p *corev1.Pod) types.UID {
	if uid := p.Labels[batchv1.ControllerUidLabel]; uid != "" {
		return types.UID(uid)
	}
	for _, owner := range p.OwnerReferences {
		if owner.Kind == "Job" {
			return owner.UID
		}
	}
	return p.UID
}

// Strays are the pods without a Job that nobody has told to end.
func (s State) Strays() []corev1.Pod {
	if s.Job != nil {
		return nil
	}
	var all []corev1.Pod
	for i := range s.Pods {
		if p := &s.Pods[i]; !attempts.Ended(p) && p.DeletionTimestamp == nil {
			all = append(all, *p)
		}
	}
	return all
}

// end has a mover look like one that has reported.
func end(m *corev1.Pod, r wire.Report) {
	m.Status.Phase, m.Status.Conditions = corev1.PodSucceeded, nil
	if r.Class != wire.Done {
		m.Status.Phase = corev1.PodFailed
	}
	m.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(r.Class.ExitCode()), Message: string(r.Encode()), //nolint:gosec // G115: 4 at most.
		}},
	}}
}

// reportOf is what a Job that has ended came to. Of a failed one it is the gravest that a pod has said, and among
// equals the last. What shards that are complete have sent is told by who completes the run.
func reportOf(c batchv1.JobCondition, pods []corev1.Pod, total v1alpha1.S3ExportStatus) wire.Report {
	worst := wire.Report{
		Class: wire.Retry, Reason: wire.TransferFailed, Message: fmt.Sprintf("The Job has failed: %s", c.Message),
	}
	var at metav1.Time
	grave, sent, progressed := 0, int64(0), false
	for i := range pods {
		r, ended := moverpod.Ending(&pods[i])
		if !ended {
			continue
		}
		progressed = progressed || r.Progressed
		if r.Class == wire.Done {
			continue
		}
		sent += r.SentBytes
		rank := map[wire.Class]int{wire.User: 3, wire.Retry: 2, wire.RetryUncounted: 1}[r.Class]
		if made := pods[i].CreationTimestamp; rank > grave || rank == grave && at.Before(&made) {
			worst, grave, at = r, rank, made
		}
	}
	if c.Type == batchv1.JobComplete {
		return wire.Report{Class: wire.Done, Objects: total.Objects, Bytes: total.Bytes, SentBytes: sent}
	}
	if worst.Class == wire.RetryUncounted { // The Job would have gone on.
		worst.Class = wire.Retry
	}
	worst.Objects, worst.Bytes, worst.SentBytes, worst.Progressed = total.Objects, total.Bytes, sent, progressed
	if progressed && worst.Class == wire.Retry {
		worst.Class = wire.RetryUncounted
	}
	return worst
}

// progressOf sums up what the pods have told; a shard that is complete counts as its report says.
func progressOf(pods []corev1.Pod, total v1alpha1.S3ExportStatus) wire.Snapshot {
	sum := wire.Snapshot{Phase: wire.Transferring, ObjectsTotal: total.Objects, BytesTotal: total.Bytes}
	for i := range pods {
		p := &pods[i]
		if r, ended := moverpod.Ending(p); ended {
			if r.Class == wire.Done {
				sum.ObjectsDone += r.Objects
				sum.BytesDone += r.Bytes
			}
			continue
		}
		var s wire.Snapshot
		if json.Unmarshal([]byte(p.Annotations[v1alpha1.AnnotationProgress]), &s) == nil {
			sum.ObjectsDone += s.ObjectsDone
			sum.BytesDone += s.BytesDone
			sum.BytesPerSecond += s.BytesPerSecond
		}
	}
	sum.ObjectsDone, sum.BytesDone = min(sum.ObjectsDone, sum.ObjectsTotal), min(sum.BytesDone, sum.BytesTotal)
	return sum
}
