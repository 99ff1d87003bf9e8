// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// change makes a world another one.
type change func(*State)

// world is an export whose mover may start: its claim is Bound and in use on node a.
func world(changes ...change) State {
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{
		Name: "run", Namespace: "team", UID: "e-1", Generation: 1, CreationTimestamp: ago(time.Hour),
		Finalizers: []string{v1alpha1.FinalizerExport},
	}}
	e.Spec.ClaimName = "data"
	e.Spec.Destination.S3Location = v1alpha1.S3Location{Endpoint: "https://s3.test", Bucket: "backups"}
	s := State{
		Now: now, Started: now.Add(-2 * time.Hour), Export: e, Prefix: "team/data/e-1/",
		Claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "team", UID: "c-1"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		},
		Users: []corev1.Pod{user("app", "a")},
	}
	for _, c := range changes {
		c(&s)
	}
	return s
}

// user is a pod that uses the claim on a node as user 1000.
func user(name, node string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", CreationTimestamp: ago(time.Hour)}}
	p.Spec = corev1.PodSpec{
		NodeName: node,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsUser: new(int64(1000)), RunAsGroup: new(int64(3000)), FSGroup: new(int64(2000)),
		},
		Containers: []corev1.Container{{
			Name: "app", VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/data"}},
		}},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
		}}},
	}
	if node != "" {
		p.Status.Phase = corev1.PodRunning
	}
	return p
}

// mover is one that was made a minute ago for node a.
func mover(phase corev1.PodPhase, changes ...func(*corev1.Pod)) change {
	return func(s *State) {
		s.Export.Status.Attempts = max(1, s.Export.Status.Attempts)
		s.Export.Status.ClaimUID = "c-1"
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: moverpod.ExportName("e-1"), Namespace: "team", UID: "m-1", CreationTimestamp: ago(time.Minute),
			Labels: map[string]string{v1alpha1.LabelExportUID: "e-1", v1alpha1.LabelRole: v1alpha1.RoleExport},
			Annotations: map[string]string{
				v1alpha1.AnnotationNode: "a", v1alpha1.AnnotationAttempt: "1", v1alpha1.AnnotationClaimUID: "c-1",
				v1alpha1.AnnotationStep: string(StepOf(s.Export)),
			},
		}}
		p.Status.Phase = phase
		if phase == corev1.PodRunning {
			p.Spec.NodeName = "a"
		}
		for _, c := range changes {
			c(p)
		}
		s.Mover = p
	}
}

// vanished is a mover, or a Job, that was seen so, and is gone.
func vanished(seen change) change {
	return func(s *State) {
		seen(s)
		s.Vanished, s.Mover, s.Job, s.Pods = s.Mover, nil, nil, nil
	}
}

func deleting(p *corev1.Pod) { p.DeletionTimestamp = new(ago(time.Second)) }

func reports(r wire.Report) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		text, _ := json.Marshal(r)
		p.Spec.NodeName = "a"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: int32(r.Class.ExitCode()), Message: string(text), FinishedAt: ago(time.Second),
			}},
		}}
	}
}

// told counts the end of the mover.
func told(s *State) { s.Export.Status.EndedMover = "m-1" }

func over(kind string, since time.Duration) change {
	return func(s *State) {
		s.Export.Status.Attempts = 1
		s.Export.Status.CompletionTime = new(ago(since))
		meta.SetStatusCondition(&s.Export.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: "x", LastTransitionTime: ago(since),
		})
	}
}

func abort(changes ...func(*corev1.Pod)) change {
	return func(s *State) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: moverpod.AbortName("e-1"), UID: "a-1", CreationTimestamp: ago(30 * time.Second),
			Labels: map[string]string{v1alpha1.LabelExportUID: "e-1"},
		}}
		for _, c := range changes {
			c(p)
		}
		s.Abort = p
	}
}

func deleted(s *State)   { s.Export.DeletionTimestamp = new(ago(time.Second)) }
func unguarded(s *State) { s.Export.Finalizers = nil }
func suspended(s *State) { s.Export.Spec.Suspend = true }
func byUs(s *State)      { s.Deleted = true }
func begunOnce(s *State) { s.Export.Status.Attempts, s.Export.Status.ClaimUID = 1, "c-1" }
func aborted(s *State)   { s.Export.Status.AbortedUploads = new(int64(2)) }
func noClaim(s *State)   { s.Claim, s.Users = nil, nil }
func queued(s *State)    { s.Queued = &queue.Position{Cap: queue.Cluster, Most: 1, Waited: time.Minute} }

func users(pods ...corev1.Pod) change { return func(s *State) { s.Users = pods } }

func access(m corev1.PersistentVolumeAccessMode) change {
	return func(s *State) { s.Claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{m} }
}

func ttl(seconds int32) change {
	return func(s *State) { s.Export.Spec.TTLSecondsAfterFinished = &seconds }
}
