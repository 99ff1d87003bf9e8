// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// Status is pure: where the run stands after a decision. What a decision does not speak of stays.
func Status(s State, d Decision) v1alpha1.S3ImportStatus {
	next := *s.Import.Status.DeepCopy()
	if Over(s.Import) {
		return next
	}
	if m := s.last(); m != nil && OwnedBy(m, s.Import) {
		follow(&next, m)
	}
	if d.Action == NoteSelection {
		note(&next, s)
	}
	if d.Action == StartMover {
		begin(&next, s, d)
	}
	if d.Ended != nil {
		count(&next, s, *d.Ended)
	}
	if d.Reason != "" {
		tell(&next, s, d)
	}
	return next
}

// last is the mover that is there, or that has vanished.
func (s State) last() *corev1.Pod {
	if s.Mover == nil {
		return s.Vanished
	}
	return s.Mover
}

// note writes down what the run loads, once: whatever its source says later is not loaded by it.
func note(next *v1alpha1.S3ImportStatus, s State) {
	selection, err := SelectionOf(s.Import.Spec, s.Source)
	if err == nil && next.Selection == nil {
		next.Selection = &selection
	}
}

// begin is what is known when a mover was made, or was there already.
func begin(next *v1alpha1.S3ImportStatus, s State, d Decision) {
	next.Attempts = max(next.Attempts, cmp.Or(d.Attempt, NextAttempt(s.Import)))
	next.NextAttemptTime = nil
	next.ClaimUID = string(s.Claim.UID)
	if next.StartTime == nil {
		next.StartTime = new(metav1.NewTime(s.Now.Truncate(time.Second)))
	}
}

// follow reads what a mover tells of itself, also where the pass that made it was interrupted.
func follow(next *v1alpha1.S3ImportStatus, mover *corev1.Pod) {
	next.Attempts = max(next.Attempts, attempts.Of(mover))
	next.ClaimUID = mover.Annotations[v1alpha1.AnnotationClaimUID]
	if next.StartTime == nil {
		next.StartTime = mover.CreationTimestamp.DeepCopy()
	}
	var snapshot wire.Snapshot
	if json.Unmarshal([]byte(mover.Annotations[v1alpha1.AnnotationProgress]), &snapshot) == nil {
		next.Progress = progress.Of(snapshot)
	}
	if next.EndedMover == string(mover.UID) {
		late := countsOf(*next).Late(mover)
		next.Failures, next.Disruptions, next.Waits = late.Failures, late.Disruptions, late.Waits
	}
}

// count adds the end of a mover.
func count(next *v1alpha1.S3ImportStatus, s State, r wire.Report) {
	after := countsOf(s.Import.Status).After(s.last(), r)
	next.EndedMover = string(s.last().UID)
	next.Objects, next.Bytes, next.FetchedBytes = r.Objects, r.Bytes, r.FetchedBytes
	next.UnchangedObjects, next.RemovedFiles, next.SkippedKeys = r.UnchangedObjects, r.RemovedFiles, r.SkippedKeys
	next.NextAttemptTime = nil
	if r.Class == wire.Done {
		complete(next, r)
		return
	}
	next.Failures, next.Disruptions, next.Waits = after.Failures, after.Disruptions, after.Waits
	if !after.Exhausted(limitOf(s), r) {
		next.NextAttemptTime = new(metav1.NewTime(after.Next(s.Now)))
	}
}

func complete(next *v1alpha1.S3ImportStatus, r wire.Report) {
	next.Failures, next.Disruptions, next.Waits = 0, 0, 0
	next.ManifestDigest = r.ManifestDigest
	// Words that the API server does not know would make it refuse all of the status: the pod is a tenant's.
	if slices.Contains([]string{wire.EngineMC, wire.EngineNative}, r.Engine) {
		next.Engine = v1alpha1.Engine(r.Engine)
	}
	if slices.Contains(wire.Bottlenecks(), r.Bottleneck) {
		next.Bottleneck = v1alpha1.Bottleneck(r.Bottleneck)
	}
	next.Progress = progress.Of(
		wire.Snapshot{ObjectsDone: r.Objects, ObjectsTotal: r.Objects, BytesDone: r.Bytes, BytesTotal: r.Bytes},
	)
	next.Progress.Percent = 100
	if r.FetchedBytes > 0 && r.Seconds > 0 {
		progress.SetRate(next.Progress, int64(float64(r.FetchedBytes)/r.Seconds))
	}
}

// tell writes the phase and the conditions.
func tell(next *v1alpha1.S3ImportStatus, s State, d Decision) {
	next.Phase, next.ObservedGeneration = d.Phase, s.Import.Generation
	status := metav1.ConditionFalse
	switch d.Phase {
	case v1alpha1.ImportSucceeded:
		status = metav1.ConditionTrue
		next.CompletionTime = new(metav1.NewTime(s.Now.Truncate(time.Second)))
	case v1alpha1.ImportFailed:
		next.CompletionTime = new(metav1.NewTime(s.Now.Truncate(time.Second)))
		setCondition(next, s, v1alpha1.ConditionFailed, metav1.ConditionTrue, d)
	case v1alpha1.ImportPending, v1alpha1.ImportRunning, v1alpha1.ImportSuspended:
	}
	setCondition(next, s, v1alpha1.ConditionComplete, status, d)
}

func setCondition(next *v1alpha1.S3ImportStatus, s State, kind string, status metav1.ConditionStatus, d Decision) {
	meta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: string(d.Reason), Message: cut(d.Message),
		ObservedGeneration: s.Import.Generation, LastTransitionTime: metav1.NewTime(s.Now.Truncate(time.Second)),
	})
}

// cut bounds a message, between characters. A condition may have 32 KiB, and a report has 4.
func cut(message string) string {
	const most = 4096
	if runes := []rune(message); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return message
}
