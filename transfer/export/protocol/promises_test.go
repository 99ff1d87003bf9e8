// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// In every world, whatever is decided keeps these promises.
func TestPromises(t *testing.T) {
	t.Parallel()
	count := 0
	for _, life := range [][]change{
		nil,
		{deleted},
		{deletedFor(time.Hour)},
		{suspended},
		{over(v1alpha1.ConditionComplete, time.Hour)},
		{over(v1alpha1.ConditionFailed, time.Minute)},
		{over(v1alpha1.ConditionFailed, time.Minute), ttl(1)},
		{over(v1alpha1.ConditionFailed, time.Minute), deleted},
		{begunOnce},
		{begunOnce, due(-time.Minute)},
		{parallel},
		{at(v1alpha1.ExportPlan)},
		{at(v1alpha1.ExportShard)},
		{at(v1alpha1.ExportFinish)},
		{at(v1alpha1.ExportShard), suspended},
		{at(v1alpha1.ExportShard), deleted},
		{at(v1alpha1.ExportShard), over(v1alpha1.ConditionFailed, time.Minute)},
	} {
		for _, m := range []change{
			nil, mover(corev1.PodPending), mover(corev1.PodRunning), mover(corev1.PodRunning, deleting),
			mover(corev1.PodSucceeded, reports(done)), mover(corev1.PodFailed, reports(broken)),
			mover(corev1.PodFailed, reports(denied), deleting), mover(corev1.PodRunning, foreign),
			job(nil, shardPod("a", corev1.PodRunning)), job(ended(batchv1.JobComplete, "")), job(ended(batchv1.JobFailed, "x")),
			job(jobDeleted, shardPod("a", corev1.PodRunning)), strayPods(shardPod("a", corev1.PodRunning, deleting)),
			mover(corev1.PodSucceeded, reports(wire.Report{Class: wire.Done})), mover(corev1.PodSucceeded, reports(planned)),
			mover(corev1.PodSucceeded, ofStep(v1alpha1.ExportFinish), reports(done)),
			mover(corev1.PodSucceeded, ofStep(v1alpha1.ExportPlan), reports(planned)),
			vanished(mover(corev1.PodRunning)), vanished(mover(corev1.PodSucceeded, reports(done))),
			vanished(job(nil, shardPod("a", corev1.PodRunning))),
		} {
			for _, a := range []change{nil, abort(), abort(reports(done)), abort(reports(broken)), abort(deleting), aborted} {
				for _, c := range []change{
					nil, noClaim, another, pending, device, claimDeleted, users(), users(user("app", "b")),
					access(corev1.ReadWriteOncePod), access(corev1.ReadWriteMany),
				} {
					for _, other := range []change{nil, unguarded, dryRun, told, queued, ahead, badPrefix} {
						s := world(
							slices.DeleteFunc(append(slices.Clone(life), m, a, c, other), func(c change) bool { return c == nil })...)
						count++
						keepsPromises(t, s)
					}
				}
			}
		}
	}
	if count < 20_000 {
		t.Errorf("only %d worlds", count)
	}
}

func keepsPromises(t *testing.T, s State) {
	t.Helper()
	d, e := Decide(s, defaults), s.Export
	next := Status(s, d)
	broke := func(what string) { t.Errorf("%s: decided %+v with %+v, mover %+v", what, d, e.Status, s.Mover) }
	switch d.Action {
	case StartMover:
		if s.Mover != nil || e.DeletionTimestamp != nil || Over(e) || e.Spec.Suspend || s.Claim == nil {
			broke("a mover starts that may not")
		}
		makesWay := len(s.Users) != 1 || s.Users[0].Spec.NodeName != "a" || s.wanted()
		if v := s.Vanished; v != nil && e.Status.EndedMover == "" && !makesWay &&
			v.Annotations[v1alpha1.AnnotationStep] == string(StepOf(e)) {
			broke("a mover starts at once after one that vanished")
		}
		if !e.Spec.DryRun && !Guarded(e) {
			broke("a mover starts whose uploads nobody would end")
		}
	case RemoveFinalizer:
		lost := begun(e) && !Complete(e) && !e.Spec.DryRun && e.Status.AbortedUploads == nil &&
			d.Announce != v1alpha1.ReasonUploadsLeft
		if lost || attempts.Active(s.Mover) && OwnedBy(s.Mover, e) && !Over(e) {
			broke("uploads are forgotten in silence")
		}
	case DeleteExport:
		if !Over(e) || e.Spec.TTLSecondsAfterFinished == nil || Guarded(e) {
			broke("an export is deleted that nobody wants deleted")
		}
	case StartAbort:
		if s.Mover != nil && !attempts.Ended(s.Mover) && OwnedBy(s.Mover, e) {
			broke("uploads are ended while a mover makes them")
		}
	case DeleteMover:
		if !OwnedBy(s.Mover, e) {
			broke("somebody's pod is deleted")
		}
		if r, ok := ending(s); ok && r.Class == wire.Done && !Complete(e) && e.DeletionTimestamp == nil &&
			e.Status.EndedMover != string(s.Mover.UID) && s.Mover.Annotations[v1alpha1.AnnotationStep] == string(StepOf(e)) {
			broke("a result is thrown away")
		}
	case Wait, AddFinalizer, DeleteAbort:
	case CreateSnapshot, CreateTemporaryClaim, StartConsumer, DeleteConsumer, KeepVolume, DeleteTemporaryClaim,
		DeleteSnapshot:
		if !Apart(e) {
			broke("a live export makes something temporary")
		}
	}
	if complete := next.Phase == v1alpha1.ExportSucceeded; complete && e.Status.Phase != v1alpha1.ExportSucceeded {
		if r, ok := ending(s); !ok || r.Class != wire.Done {
			broke("complete without a report")
		}
		if r, _ := ending(s); Parted(e) && (s.Job != nil || StepOf(e) == v1alpha1.ExportShard || r.ManifestDigest == "" ||
			s.Mover.Annotations[v1alpha1.AnnotationStep] != string(StepOf(e))) {
			broke("complete without a manifest, by a mover that has written none")
		}
	}
	if next.Attempts < e.Status.Attempts {
		broke("attempts are forgotten")
	}
}

func ending(s State) (wire.Report, bool) {
	if s.Mover == nil {
		return wire.Report{}, false
	}
	for _, c := range s.Mover.Status.ContainerStatuses {
		if c.State.Terminated != nil {
			r, err := wire.ParseReport(c.State.Terminated.Message)
			return r, err == nil
		}
	}
	return wire.Report{}, false
}
