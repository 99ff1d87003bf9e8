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

// What becomes of a mover that is gone, as one that was deleted by force.
func TestDecideOfVanishedMovers(t *testing.T) {
	t.Parallel()
	gone := vanished(mover(corev1.PodRunning))
	pending := vanished(mover(corev1.PodPending))
	wasComplete := vanished(mover(corev1.PodSucceeded, reports(done)))
	noRetries := func(s *State) { s.Export.Spec.Retries.Limit = new(int32(0)) }
	goneJob := vanished(job(nil, shardPod("a", corev1.PodRunning)))
	last := func(s *State) { s.Export.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RoleFinalExport} }
	for name, test := range map[string]struct {
		in          State
		want        Action
		reason      v1alpha1.Reason
		says        string
		disruptions int32 // After it.
	}{
		"somebody deleted it by force": {world(gone), Wait, because(wire.Interrupted), "again at 12:00:10 UTC", 1},
		"before it had a node":         {world(pending), Wait, because(wire.Interrupted), "was deleted by someone else", 1},
		"for the third time": {
			world(gone, disruptions(2)), Wait, because(wire.Interrupted), "again at 12:00:40 UTC", 3,
		},
		"again and again": {world(gone, disruptions(50)), Wait, because(wire.Interrupted), "Gave up after 51 attempts", 51},
		"of a last export": {
			world(gone, last, disruptions(50)), Wait, because(wire.Interrupted), "Gave up after 51 attempts", 51,
		},
		"its end was counted":           {world(gone, told), StartMover, v1alpha1.ReasonExporting, "", 0},
		"and it waits for the next one": {world(gone, told, due(-time.Minute)), Wait, "", "", 0},
		"there is another one": {
			world(gone, mover(corev1.PodRunning)), Wait, v1alpha1.ReasonExporting, "exports the volume", 0,
		},
		"it had failed": {
			world(vanished(mover(corev1.PodFailed, reports(denied)))), Wait, because(wire.AccessDenied), "make a new one", 0,
		},
		"it was complete, which nobody can look up": {
			world(wasComplete, noRetries), Wait, because(wire.Interrupted),
			"The mover was complete, and was deleted by someone else before that was recorded. The next one finds in place " +
				"what it has done. It is tried again at 12:00:10 UTC.", 1,
		},
		"it was deleted, and had said so": {
			world(vanished(mover(corev1.PodFailed, deleting, reports(interrupt))), noRetries),
			Wait, because(wire.Interrupted), "SIGTERM. It is tried again at 12:00:10 UTC.", 1,
		},
		"it is deleted, has said so, and is there": {
			world(mover(corev1.PodFailed, deleting, reports(interrupt)), noRetries),
			Wait, because(wire.Interrupted), "SIGTERM. It is tried again at 12:00:10 UTC.", 1,
		},
		"its time was over, and it had said so": {
			world(vanished(mover(corev1.PodFailed, reports(interrupt))), noRetries),
			Wait, because(wire.Interrupted), "Gave up after 1 attempts", 0,
		},
		"it failed, and was deleted": {
			world(vanished(mover(corev1.PodFailed, deleting, reports(broken))), noRetries),
			Wait, because(wire.TransferFailed), "Gave up after 1 attempts", 0,
		},
		"so was each one before it": {
			world(wasComplete, noRetries, disruptions(2)), Wait, because(wire.Interrupted), "again at 12:00:40 UTC", 3,
		},
		"again and again, complete": {
			world(wasComplete, noRetries, disruptions(50)), Wait, because(wire.Interrupted), "Gave up after 51 attempts", 51,
		},
		"suspended meanwhile":       {world(gone, suspended), Wait, v1alpha1.ReasonSuspended, "", 0},
		"the export is deleted":     {world(gone, deleted), StartAbort, "", "", 0},
		"a last export is deleted":  {world(gone, last, deleted), StartAbort, "", "", 0},
		"the export has failed":     {world(gone, over(v1alpha1.ConditionFailed, time.Second)), StartAbort, "", "", 0},
		"its claim goes":            {world(pending, claimDeleted), Wait, v1alpha1.ReasonClaimReplaced, "deleted", 0},
		"it was to make way anyway": {world(gone, users(user("app", "b"))), StartMover, v1alpha1.ReasonExporting, "", 0},
		"a Job with its pods": {
			world(at(v1alpha1.ExportShard), goneJob),
			Wait, because(wire.Interrupted), "Job export-e-1 and its pods were deleted", 1,
		},
		"a Job that had failed": {
			world(at(v1alpha1.ExportShard), vanished(job(ended(batchv1.JobFailed, "x")))),
			Wait, because(wire.TransferFailed), "x", 0,
		},
		"a Job that was complete": {
			world(at(v1alpha1.ExportShard), noRetries, vanished(job(ended(batchv1.JobComplete, "")))),
			Wait, because(wire.Interrupted), "tried again", 1,
		},
		"one that has made a plan": {
			world(parallel, noRetries, vanished(mover(corev1.PodSucceeded, reports(planned)))),
			Wait, because(wire.Interrupted), "tried again", 1,
		},
		"one of another step": {
			world(at(v1alpha1.ExportShard), vanished(mover(corev1.PodRunning, ofStep(v1alpha1.ExportPlan)))),
			StartMover, v1alpha1.ReasonExporting, "Job export-e-1", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(test.in, defaults)
			if d.Action != test.want || d.Reason != test.reason || !strings.Contains(d.Message, test.says) {
				t.Errorf("decided %+v, want %s %s %q", d, test.want, test.reason, test.says)
			}
			next := Status(test.in, d)
			if next.Disruptions != test.disruptions {
				t.Errorf("%d disruptions, want %d", next.Disruptions, test.disruptions)
			}
			if d.Ended != nil && next.EndedMover != "m-1" {
				t.Errorf("the mover that ended is %q", next.EndedMover)
			}
		})
	}
}

// A mover that was told to end is counted at once. When it says later that it got further, that counts as if it had
// said so before: what gets further each time goes on, however often it is evicted.
func TestProgressThatIsToldLate(t *testing.T) {
	t.Parallel()
	running := mover(corev1.PodRunning, deleting)
	further := interrupt
	further.Progressed = true
	doneFurther := done
	doneFurther.Progressed = true
	gone := vanished(mover(corev1.PodFailed, deleting, reports(further)))
	for name, test := range map[string]struct {
		in          State
		disruptions int32
	}{
		"it runs on":           {world(running, told, disruptions(50)), 50},
		"it got no further":    {world(mover(corev1.PodFailed, deleting, reports(interrupt)), told, disruptions(50)), 50},
		"it got further":       {world(mover(corev1.PodFailed, deleting, reports(further)), told, disruptions(50)), 0},
		"and is gone":          {world(gone, told, disruptions(50)), 0},
		"it was complete":      {world(mover(corev1.PodSucceeded, reports(doneFurther)), told, disruptions(50)), 50},
		"it is counted by now": {world(mover(corev1.PodFailed, deleting, reports(further)), disruptions(50)), 0},
	} {
		next := Status(test.in, Decide(test.in, defaults))
		if next.Disruptions != test.disruptions || next.EndedMover != "m-1" && name != "it runs on" {
			t.Errorf("%s: the status is %+v", name, next)
		}
	}
}
