// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// In every world of an export that reads a volume of its own, whatever is decided keeps these promises, besides
// those of all exports.
func TestPromisesOfTemporaries(t *testing.T) {
	t.Parallel()
	lives := [][]change{
		nil,
		{deleted},
		{suspended},
		{begunOnce},
		{over(v1alpha1.ConditionComplete, time.Hour)},
		{over(v1alpha1.ConditionFailed, time.Minute)},
		{over(v1alpha1.ConditionFailed, time.Minute), deleted},
	}
	movers := []change{
		nil, mover(corev1.PodPending, readsCopy), mover(corev1.PodRunning, readsCopy),
		mover(corev1.PodRunning, readsCopy, deleting), mover(corev1.PodSucceeded, readsCopy, reports(done)),
		mover(corev1.PodFailed, readsCopy, reports(broken)), mover(corev1.PodRunning, foreign),
	}
	snapshots := []change{
		nil, noSnapshots, snapshotted(), snapshotted(ready), snapshotted(fails, snap(aged)),
		snapshotted(snap(aged)), snapshotted(madeFor(answerPatience), hasContent), snapshotted(snap(aged), isTaken),
		snapshotted(snap(goesFor(time.Hour))),
		snapshotted(ready, snap(going)), snapshotted(snap(strange)), snapshotted(ready, snap(ofAnother)),
	}
	claims := [][]change{
		{nil}, {copied()}, {copied(pvc(aged))}, {copied(pvc(goesFor(time.Hour)))}, {copied(pvc(strange))}, {copied(isLost)},
	}
	for _, claim := range []change{
		copied(isBound), copied(isBound, pvc(going)), copied(isBound, pvc(ofAnother)), copied(isBound, otherOrigin),
	} {
		for _, volume := range []change{nil, onVolume(), onVolume(wasFree), onVolume(wasFree, keptVolume)} {
			claims = append(claims, []change{claim, volume})
		}
	}
	count := 0
	for _, life := range lives {
		for _, first := range movers {
			for _, second := range snapshots {
				for _, third := range claims {
					for _, other := range []change{
						nil, unguarded, noClaim, queued, waitsForPod, hasFree, aborted, dryRun,
						consumer(), consumer(deleting), consumer(lost), consumer(foreign),
					} {
						for _, kind := range []change{by(snapshotOf), by(cloneOf)} {
							all := slices.Concat([]change{kind}, life, []change{second}, third, []change{first, other})
							s := world(slices.DeleteFunc(all, func(c change) bool { return c == nil })...)
							count++
							keepsPromises(t, s)
							keepsTemporaryPromises(t, s)
						}
					}
				}
			}
		}
	}
	if count < 100_000 {
		t.Errorf("only %d worlds", count)
	}
}

// left tells that something of ours is there that was not told to go.
func left(s State) bool {
	t := s.Temporary
	return s.ownsSnapshot() && t.Snapshot.DeletionTimestamp == nil ||
		s.ownsTemporaryClaim() && t.Claim.DeletionTimestamp == nil || s.ownsConsumer() && t.Consumer.DeletionTimestamp == nil
}

// silent tells that nothing was answered for long and the export only waits, as if all went well. A snapshot that
// was taken is worked on.
func silent(s State, d Decision) bool {
	t := s.Temporary
	late := func(at *metav1.Time) bool { return at != nil && s.Now.Sub(at.Time) >= answerPatience }
	snapshot := s.Export.Spec.Consistency == snapshotOf && s.ownsSnapshot() && !t.Snapshot.Taken && !t.Snapshot.Ready &&
		(!s.ownsTemporaryClaim() || !bound(t.Claim)) &&
		(late(&t.Snapshot.CreationTimestamp) || late(t.Snapshot.DeletionTimestamp))
	claim := s.ownsTemporaryClaim() && late(t.Claim.DeletionTimestamp) && t.Snapshot == nil
	pod := s.ownsConsumer() && late(t.Consumer.DeletionTimestamp)
	return d.Action == Wait && d.Reason == v1alpha1.ReasonPreparing && (snapshot || claim || pod)
}

func keepsTemporaryPromises(t *testing.T, s State) {
	t.Helper()
	d, e, tmp := Decide(s, defaults), s.Export, s.Temporary
	broke := func(what string) {
		t.Errorf("%s: decided %+v with %+v, claim %+v, snapshot %+v", what, d, e.Status, tmp.Claim, tmp.Snapshot)
	}
	if silent(s, d) {
		broke("nobody is told of what nobody answers for")
	}
	stops := Over(e) || e.DeletionTimestamp != nil || e.Spec.Suspend
	foreignVolume := tmp.Claim != nil && Captured(tmp.Volume, tmp.Claim)
	switch d.Action {
	case CreateSnapshot, CreateTemporaryClaim, StartConsumer:
		if stops || !Guarded(e) || s.Mover != nil || s.Claim == nil {
			broke("something is made that nobody would remove")
		}
		if tmp.Free != "" && tmp.Claim == nil {
			broke("a claim is made, or a snapshot for one, that would get a volume of somebody")
		}
	case StartMover:
		if !s.ownsTemporaryClaim() || !bound(tmp.Claim) || tmp.Claim.DeletionTimestamp != nil || tmp.Volume == nil ||
			foreignVolume || !s.ofThisClaim(tmp.Claim.Labels) || s.ownsConsumer() {
			broke("a mover reads what is not the claim")
		}
	case DeleteTemporaryClaim:
		if !s.ownsTemporaryClaim() || foreignVolume && !isKept(tmp.Volume) || !stops && attempts.Active(s.Mover) {
			broke("a claim is deleted that is somebody's, is read, or has somebody's volume")
		}
	case DeleteSnapshot:
		if !s.ownsSnapshot() || !stops && attempts.Active(s.Mover) {
			broke("a snapshot is deleted that is somebody's, or is read")
		}
	case DeleteConsumer:
		if !s.ownsConsumer() {
			broke("somebody's pod is deleted")
		}
	case KeepVolume:
		if !foreignVolume || isKept(tmp.Volume) || !s.ownsTemporaryClaim() {
			broke("somebody's volume is changed")
		}
	case RemoveFinalizer:
		if left(s) {
			broke("something is left behind")
		}
	case DeleteExport, Wait, AddFinalizer, DeleteAbort, StartAbort, DeleteMover:
	}
}
