// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
)

// ImportFor is the visible run of a population.
func ImportFor(claim *corev1.PersistentVolumeClaim) *v1alpha1.S3Import {
	return &v1alpha1.S3Import{
		ObjectMeta: metav1.ObjectMeta{
			Name: ImportName(claim), Namespace: claim.Namespace,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelClaimUID:  string(claim.UID),
			},
			OwnerReferences: []metav1.OwnerReference{ownerReference(claim)},
		},
		Spec: v1alpha1.S3ImportSpec{SourceName: claim.Spec.DataSourceRef.Name, ClaimName: claim.Name},
	}
}

// Records tells that an S3Import is the visible run of this claim's population, and not one that a user made.
func Records(i *v1alpha1.S3Import, claim *corev1.PersistentVolumeClaim) bool {
	return i.IsRecord() && metav1.IsControlledBy(i, claim)
}

// ImportDue tells that an import is to be made: with its mover, or when that pass was
// interrupted, but not while our cache may only not show it yet.
func ImportDue(s State, d Decision) bool {
	return d.Action == StartMover || s.Prime != nil && Filled(s.Prime) ||
		s.Mover != nil && s.Now.Sub(s.Mover.CreationTimestamp.Time) > settle
}

// TooEarly tells that all there is to say of an import is what the claim's condition is
// silent of too: that its mover was made a moment ago, or that its volume is handed over.
func TooEarly(s State, d Decision, next v1alpha1.S3ImportStatus) bool {
	if d.Reason != "" {
		return false
	}
	return next.Phase == v1alpha1.ImportSucceeded || s.Import.Status.Phase == "" && next.Progress == nil
}

// ImportStatus is pure: where the run stands after a decision. What a decision does not
// speak of stays as it was.
func ImportStatus(s State, d Decision) v1alpha1.S3ImportStatus {
	next := *s.Import.Status.DeepCopy()
	if next.Phase == v1alpha1.ImportSucceeded {
		if s.Prime == nil || Filled(s.Prime) {
			return next // A mover that is on its way out has older numbers than its report.
		}
		next = v1alpha1.S3ImportStatus{} // The filled prime was lost before the rebind.
	}
	if s.Mover != nil {
		startRun(&next, s.Mover)
	}
	if s.Prime != nil && Filled(s.Prime) {
		completeRun(&next, s)
		return next
	}
	standing(&next, s, d)
	if next.Phase != "" {
		next.ObservedGeneration = s.Import.Generation
	}
	return next
}

// standing is the phase of a run that is not complete.
func standing(next *v1alpha1.S3ImportStatus, s State, d Decision) {
	switch {
	case d.Status == corev1.ConditionFalse:
		failRun(next, s, d)
	case s.Mover != nil && s.Mover.Status.Phase == corev1.PodRunning:
		next.Phase = v1alpha1.ImportRunning
		clearFailure(next)
	case d.Reason != "", s.Mover != nil && s.Mover.Status.Phase == corev1.PodPending:
		next.Phase = v1alpha1.ImportPending
		clearFailure(next)
	}
}

func startRun(next *v1alpha1.S3ImportStatus, mover *corev1.Pod) {
	if n := AttemptOf(mover); n > 0 {
		next.Attempts = n
	}
	if next.StartTime == nil && mover.Status.StartTime != nil {
		next.StartTime = mover.Status.StartTime.DeepCopy()
	}
	var snapshot wire.Snapshot
	if json.Unmarshal([]byte(mover.Annotations[v1alpha1.AnnotationProgress]), &snapshot) == nil {
		next.Progress = progress.Of(snapshot)
	}
}

// completeRun takes the numbers from the prime, which remembers the mover's report.
func completeRun(next *v1alpha1.S3ImportStatus, s State) {
	stored, ok := Result(s.Prime)
	if !ok {
		return
	}
	r := stored.Report
	next.Phase, next.ObservedGeneration = v1alpha1.ImportSucceeded, s.Import.Generation
	next.ManifestDigest = r.ManifestDigest
	next.Engine, next.Bottleneck = engineOf(r), bottleneckOf(r)
	next.CompletionTime = new(metav1.NewTime(resultTime(s.Prime)))
	next.Attempts = max(next.Attempts, stored.Attempt)
	if next.StartTime == nil { // The mover is gone by now.
		next.StartTime = new(metav1.NewTime(resultTime(s.Prime).Add(-time.Duration(r.Seconds * float64(time.Second)))))
	}
	next.Progress = progress.Of(
		wire.Snapshot{ObjectsDone: r.Objects, ObjectsTotal: r.Objects, BytesDone: r.Bytes, BytesTotal: r.Bytes},
	)
	next.Progress.Percent = 100
	progress.SetRate(next.Progress, rate(r))
	setCondition(next, s, metav1.Condition{
		Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: string(v1alpha1.ReasonPopulated),
		Message: completeMessage(r),
	})
	clearFailure(next)
}

// completeMessage has the numbers, and the engine and the bottleneck where they are known.
func completeMessage(r wire.Report) string {
	text := verified(r)
	if engine := engineOf(r); engine != "" {
		text += "; moved by " + string(engine)
	}
	if b := bottleneckOf(r); b != "" {
		text += "; bottleneck: " + string(b)
	}
	return text + "."
}

// verified is what a mover has proven, in the same words on the claim and on its S3Import. What was compared by size
// alone is told apart: S3 gave nothing to prove its content by. The pod is a tenant's, and may count anything.
func verified(r wire.Report) string {
	text := fmt.Sprintf("%d objects, %s, verified", r.Objects, progress.Size(r.Bytes))
	if n := min(r.SizeOnlyObjects, r.Objects); n > 0 {
		text += fmt.Sprintf("; %d of them by size alone", n)
	}
	return text
}

// engineOf and bottleneckOf take a word of a report only where it is one that there is: the pod is
// a tenant's, and the API server would refuse all of the status.
func engineOf(r wire.Report) v1alpha1.Engine {
	if slices.Contains([]string{wire.EngineMC, wire.EngineNative}, r.Engine) {
		return v1alpha1.Engine(r.Engine)
	}
	return ""
}

func bottleneckOf(r wire.Report) v1alpha1.Bottleneck {
	if slices.Contains(wire.Bottlenecks(), r.Bottleneck) {
		return v1alpha1.Bottleneck(r.Bottleneck)
	}
	return ""
}

// rate of a whole attempt in bytes per second; 0 when it fetched nothing.
func rate(r wire.Report) int64 {
	if r.FetchedBytes == 0 || r.Seconds <= 0 {
		return 0
	}
	return int64(float64(r.FetchedBytes) / r.Seconds)
}

func failRun(next *v1alpha1.S3ImportStatus, s State, d Decision) {
	next.Phase = v1alpha1.ImportFailed
	setCondition(next, s, metav1.Condition{
		Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Reason: string(d.Reason), Message: cut(d.Message),
	})
}

func clearFailure(next *v1alpha1.S3ImportStatus) {
	meta.RemoveStatusCondition(&next.Conditions, v1alpha1.ConditionFailed)
}

func setCondition(next *v1alpha1.S3ImportStatus, s State, c metav1.Condition) {
	c.ObservedGeneration = s.Import.Generation
	c.LastTransitionTime = metav1.NewTime(s.Now.Truncate(time.Second))
	meta.SetStatusCondition(&next.Conditions, c)
}
