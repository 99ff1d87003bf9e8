// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// manifestKey is where the mover writes the manifest, below the prefix.
const manifestKey = wire.JournalDir + "/manifest.json"

// Status is pure: where the run stands after a decision. What a decision does not speak of stays.
func Status(s State, d Decision) v1alpha1.S3ExportStatus {
	next := *s.Export.Status.DeepCopy()
	if d.Aborted != nil {
		next.AbortedUploads = d.Aborted
	}
	remain(&next, s, d)
	if Over(s.Export) {
		return next
	}
	if s.Mover == nil {
		s.Mover = s.Vanished
	}
	switch {
	case s.ofAnotherStep():
		next.Attempts = max(next.Attempts, attempts.Of(s.Mover))
	case s.Mover != nil && OwnedBy(s.Mover, s.Export):
		follow(&next, s.Mover)
		followJob(&next, s.Job)
	}
	if d.Action == StartMover {
		begin(&next, s, d)
	}
	forgetPlan(&next, s, d)
	if d.Ended != nil {
		count(&next, s, *d.Ended)
	}
	if d.Reason != "" {
		tell(&next, s, d)
	}
	return next
}

// remain tells of what could not be removed, also of a run that is over, whose other conditions stay as they are.
func remain(next *v1alpha1.S3ExportStatus, s State, d Decision) {
	if d.Remains == "" {
		meta.RemoveStatusCondition(&next.Conditions, v1alpha1.ConditionRemovalPending)
		return
	}
	d.Reason, d.Message = v1alpha1.ReasonRemovalRefused, d.Remains
	setCondition(next, s, v1alpha1.ConditionRemovalPending, metav1.ConditionTrue, d)
}

// begin is what is known when a mover was made, or was there already.
func begin(next *v1alpha1.S3ExportStatus, s State, d Decision) {
	next.Attempts = max(next.Attempts, cmp.Or(d.Attempt, NextAttempt(s.Export)))
	next.NextAttemptTime = nil
	next.ClaimUID, next.CopiedFrom = string(s.Claim.UID), copyFrom(s)
	if next.StartTime == nil {
		next.StartTime = new(metav1.NewTime(s.Now.Truncate(time.Second)))
	}
}

// follow reads what a mover tells of itself, also where the pass that made it was interrupted.
func follow(next *v1alpha1.S3ExportStatus, mover *corev1.Pod) {
	next.Attempts = max(next.Attempts, attempts.Of(mover))
	next.ClaimUID = mover.Annotations[v1alpha1.AnnotationClaimUID]
	next.CopiedFrom = mover.Annotations[v1alpha1.AnnotationCopiedFrom]
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
func count(next *v1alpha1.S3ExportStatus, s State, r wire.Report) {
	after := countsOf(s.Export.Status).After(s.Mover, r)
	next.EndedMover = string(s.Mover.UID)
	next.SentObjects, next.SentBytes, next.CopiedObjects = r.SentObjects, r.SentBytes, r.CopiedObjects
	next.UnchangedObjects, next.DeletedObjects = r.UnchangedObjects, r.DeletedObjects
	next.SkippedPaths, next.SpecialFiles = r.SkippedKeys, r.SpecialFiles
	next.ChangedFiles, next.GoneFiles = r.ChangedFiles, r.GoneFiles
	next.OtherObjects, next.Objects, next.Bytes, next.Links = r.OtherObjects, r.Objects, r.Bytes, r.Links
	next.NextAttemptTime = nil
	if advance(next, s, r) {
		return
	}
	if r.Class == wire.Done {
		complete(next, s, r)
		return
	}
	next.Failures, next.Disruptions, next.Waits = after.Failures, after.Disruptions, after.Waits
	if !after.Exhausted(s.Export.Spec.Retries.Limit, r) {
		next.NextAttemptTime = new(metav1.NewTime(after.Next(s.Now)))
	}
}

func complete(next *v1alpha1.S3ExportStatus, s State, r wire.Report) {
	next.Failures, next.Disruptions, next.Waits = 0, 0, 0
	next.ManifestDigest = r.ManifestDigest
	if !s.Export.Spec.DryRun && s.Export.Spec.Destination.Key == "" {
		next.Manifest = s.Prefix + manifestKey
	}
	next.Progress = progress.Of(
		wire.Snapshot{ObjectsDone: r.Objects, ObjectsTotal: r.Objects, BytesDone: r.Bytes, BytesTotal: r.Bytes},
	)
	next.Progress.Percent = 100
	if r.SentBytes > 0 && r.Seconds > 0 {
		progress.SetRate(next.Progress, int64(float64(r.SentBytes)/r.Seconds))
	}
}

// tell writes the phase and the conditions.
func tell(next *v1alpha1.S3ExportStatus, s State, d Decision) {
	next.Phase, next.ObservedGeneration = d.Phase, s.Export.Generation
	if s.PrefixError == nil {
		next.Prefix, next.Location = s.Prefix, location(s)
	}
	if also := TellShared(s); also != "" && (d.Reason == v1alpha1.ReasonExporting || d.Reason == v1alpha1.ReasonExported) {
		d.Message += " " + also
	}
	status := metav1.ConditionFalse
	switch d.Phase {
	case v1alpha1.ExportSucceeded:
		status = metav1.ConditionTrue
		next.CompletionTime = new(metav1.NewTime(s.Now.Truncate(time.Second)))
	case v1alpha1.ExportFailed:
		next.CompletionTime = new(metav1.NewTime(s.Now.Truncate(time.Second)))
		setCondition(next, s, v1alpha1.ConditionFailed, metav1.ConditionTrue, d)
	case v1alpha1.ExportPending, v1alpha1.ExportRunning, v1alpha1.ExportSuspended:
	}
	setCondition(next, s, v1alpha1.ConditionComplete, status, d)
}

func setCondition(next *v1alpha1.S3ExportStatus, s State, kind string, status metav1.ConditionStatus, d Decision) {
	meta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: string(d.Reason), Message: cut(d.Message),
		ObservedGeneration: s.Export.Generation, LastTransitionTime: metav1.NewTime(s.Now.Truncate(time.Second)),
	})
}

func location(s State) string {
	to := s.Export.Spec.Destination
	if to.Key != "" {
		return "s3://" + to.Bucket + "/" + to.Key
	}
	return "s3://" + to.Bucket + "/" + s.Prefix
}

// cut bounds a message, between characters. A condition may have 32 KiB, and a report has 4.
func cut(message string) string {
	const most = 4096
	if runes := []rune(message); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return message
}
