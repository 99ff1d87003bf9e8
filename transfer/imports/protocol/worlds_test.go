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

// world is an import whose mover may start: its claim is Bound and in use on node a, its source is there, and what it
// selects is noted.
func world(changes ...change) State {
	i := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{
		Name: "run", Namespace: "team", UID: "i-1", Generation: 1, CreationTimestamp: ago(time.Hour),
	}}
	i.Spec.ClaimName, i.Spec.SourceName = "data", "models"
	source := &v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: "team", UID: "s-1"}}
	source.Spec.S3Location = v1alpha1.S3Location{Endpoint: "https://s3.test", Bucket: "models"}
	source.Spec.Prefix = "beta"
	s := State{
		Now: now, Import: i, Source: source,
		Claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "team", UID: "c-1"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		},
		Users: []corev1.Pod{user("app", "a")},
	}
	i.Status.Selection = &v1alpha1.ImportSelection{Server: "https://s3.test", Bucket: "models", Prefix: "beta/"}
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
		s.Import.Status.Attempts = max(1, s.Import.Status.Attempts)
		s.Import.Status.ClaimUID = "c-1"
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: moverpod.ImporterName("i-1"), Namespace: "team", UID: "m-1", CreationTimestamp: ago(time.Minute),
			Labels: map[string]string{v1alpha1.LabelImportUID: "i-1", v1alpha1.LabelRole: v1alpha1.RoleImport},
			Annotations: map[string]string{
				v1alpha1.AnnotationNode: "a", v1alpha1.AnnotationAttempt: "1", v1alpha1.AnnotationClaimUID: "c-1",
				v1alpha1.AnnotationImport: "run",
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

// vanished is a mover that was seen so, and is gone.
func vanished(phase corev1.PodPhase, changes ...func(*corev1.Pod)) change {
	return func(s *State) {
		mover(phase, changes...)(s)
		s.Vanished, s.Mover = s.Mover, nil
	}
}

func deleting(p *corev1.Pod) { p.DeletionTimestamp = new(ago(time.Second)) }
func lost(p *corev1.Pod)     { p.DeletionTimestamp = new(ago(2 * time.Minute)) }
func foreign(p *corev1.Pod)  { p.Labels = nil }
func fresh(p *corev1.Pod)    { p.CreationTimestamp = ago(time.Second) }

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

func sigkilled(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name:  moverpod.ContainerName,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}},
	}}
}

// told counts the end of the mover.
func told(s *State) { s.Import.Status.EndedMover = "m-1" }

func over(kind string, since time.Duration) change {
	return func(s *State) {
		s.Import.Status.Attempts = 1
		s.Import.Status.CompletionTime = new(ago(since))
		meta.SetStatusCondition(&s.Import.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: "x", LastTransitionTime: ago(since),
		})
	}
}

// aged sets how old the import is.
func aged(age time.Duration) change {
	return func(s *State) { s.Import.CreationTimestamp = ago(age) }
}

func deleted(s *State)   { s.Import.DeletionTimestamp = new(ago(time.Second)) }
func suspended(s *State) { s.Import.Spec.Suspend = true }
func byUs(s *State)      { s.Deleted = true }
func begunOnce(s *State) { s.Import.Status.Attempts, s.Import.Status.ClaimUID = 1, "c-1" }
func noClaim(s *State)   { s.Claim, s.Users = nil, nil }
func noSource(s *State)  { s.Source = nil }
func ahead(s *State)     { s.Ahead = "other" }

// unnoted has not begun to start a mover, or is of a version that noted nothing.
func unnoted(s *State) { s.Import.Status.Selection = nil }

// edited and retargeted are sources that changed after their selection was noted, renewed one whose change concerns
// nothing that is loaded, and unresolved one that names an export by now.
func edited(s *State)     { s.Source.Spec.Prefix = "gamma" }
func retargeted(s *State) { s.Source.Spec.TargetPath = "data" }
func renewed(s *State)    { s.Source.Spec.Prefix, s.Source.UID = "beta/", "s-2" }
func unresolved(s *State) { s.Source, s.Unresolved = nil, true }

// busy has a mover of another import on the claim.
func busy(changes ...func(*corev1.Pod)) change {
	return func(s *State) {
		p := world(mover(corev1.PodRunning)).Mover
		p.Name, p.Spec.NodeName = "s3importer-i-2", "a"
		p.Labels[v1alpha1.LabelImportUID], p.Annotations[v1alpha1.AnnotationImport] = "i-2", "other"
		for _, c := range changes {
			c(p)
		}
		s.Busy = p
	}
}

func endsFor(age time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.DeletionTimestamp = new(ago(age)) }
}

func queued(s *State)       { s.Queued = &queue.Position{Cap: queue.Cluster, Most: 1, Waited: time.Minute} }
func another(s *State)      { s.Claim.UID = "c-2" }
func pending(s *State)      { s.Claim.Status.Phase = corev1.ClaimPending }
func claimDeleted(s *State) { s.Claim.DeletionTimestamp = new(ago(time.Second)) }
func device(s *State)       { s.Claim.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) }
func byMC(s *State)         { s.Source.Spec.Transfer.Engine = "MC" }
func elsewhere(s *State)    { s.Import.Spec.Prefix = "alpha/" }

func role(r string) change {
	return func(s *State) { s.Claim.Labels = map[string]string{v1alpha1.LabelRole: r} }
}

func users(pods ...corev1.Pod) change { return func(s *State) { s.Users = pods } }

func access(m corev1.PersistentVolumeAccessMode) change {
	return func(s *State) { s.Claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{m} }
}

func ttl(seconds int32) change {
	return func(s *State) { s.Import.Spec.TTLSecondsAfterFinished = &seconds }
}

func runAs(uid int64) change {
	return func(s *State) {
		s.Import.Spec.Mover = &v1alpha1.ImportMover{PodSecurityContext: &corev1.PodSecurityContext{RunAsUser: &uid}}
	}
}

func failures(n int32) change    { return func(s *State) { s.Import.Status.Failures = n } }
func disruptions(n int32) change { return func(s *State) { s.Import.Status.Disruptions = n } }

// due sets when the next attempt was due, so long ago.
func due(since time.Duration) change {
	return func(s *State) { s.Import.Status.NextAttemptTime = new(ago(since)) }
}
