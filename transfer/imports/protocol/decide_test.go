// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

var (
	done = wire.Report{
		Class: wire.Done, Objects: 3, Bytes: 10, FetchedBytes: 4, UnchangedObjects: 2, RemovedFiles: 1,
		ManifestDigest: "sha256:x", Engine: wire.EngineNative, Seconds: 2,
	}
	denied    = wire.Report{Class: wire.User, Reason: wire.VolumeNotWritable, Message: "no."}
	slow      = wire.Report{Class: wire.RetryUncounted, Reason: wire.Throttled, Message: "slow down"}
	broken    = wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "reset"}
	interrupt = wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: "SIGTERM"}
	defaults  = moverpod.Defaults{RunAs: moverpod.NonRoot}
)

func because(r wire.Reason) v1alpha1.Reason { return v1alpha1.Reason(r) }

// row is one claim about the world.
type row struct {
	in     State
	want   Action
	reason v1alpha1.Reason
	says   string
}

// beforeAMover is what is waited for or refused while there is none.
func beforeAMover() map[string]row {
	unknown := user("app", "a")
	unknown.Spec.SecurityContext = nil
	return map[string]row{
		"what is loaded is noted first":       {world(unnoted), NoteSelection, "", ""},
		"a mover starts":                      {world(), StartMover, v1alpha1.ReasonImporting, "import-i-1"},
		"a claim that is not there may come":  {world(noClaim), Wait, v1alpha1.ReasonClaimNotFound, "no claim data"},
		"a claim may be made with the import": {world(noClaim, aged(time.Second)), Wait, "", ""},
		"but not for long":                    {world(noClaim, aged(4*time.Second)), Wait, v1alpha1.ReasonClaimNotFound, ""},
		"a source may be, too":                {world(noSource, aged(time.Second)), Wait, "", ""},
		"and its export be found a moment later": {
			world(noSource, aged(time.Second), func(s *State) { s.Unresolved = true }), Wait, "", "",
		},
		"nor where a clock is behind": {
			world(noSource, aged(-time.Hour)), Wait, v1alpha1.ReasonSourceNotFound, "no S3Source models",
		},
		"what was told is not taken back": {
			world(noSource, aged(time.Second), waitsFor(v1alpha1.ReasonSourceNotFound)), Wait, v1alpha1.ReasonSourceNotFound, "",
		},
		"a claim that went is lost":       {world(noClaim, begunOnce), Wait, v1alpha1.ReasonClaimReplaced, "deleted"},
		"another claim is another volume": {world(begunOnce, another), Wait, v1alpha1.ReasonClaimReplaced, "another one"},
		"a token's import is for one claim": {world(another, func(s *State) {
			s.Import.Labels = map[string]string{v1alpha1.LabelClaimUID: "c-1"}
		}), Wait, v1alpha1.ReasonClaimReplaced, "another one"},
		"a mover whose claim went is ended": {
			world(noClaim, mover(corev1.PodPending)), DeleteMover, v1alpha1.ReasonClaimReplaced, "is gone",
		},
		"a mover does not write to the next claim": {
			world(another, mover(corev1.PodPending)), DeleteMover, v1alpha1.ReasonClaimReplaced, "is gone",
		},
		"a claim that is being filled":  {world(pending), Wait, v1alpha1.ReasonClaimNotBound, "Pending"},
		"a claim that is being deleted": {world(claimDeleted), Wait, v1alpha1.ReasonClaimNotBound, "deleted"},
		"a device has no files":         {world(device), Wait, v1alpha1.ReasonUnsupportedClaim, "Block"},
		"a volume that nobody writes": {
			world(access(corev1.ReadOnlyMany)), Wait, v1alpha1.ReasonUnsupportedClaim, "ReadOnlyMany",
		},
		"a claim that is filled for another": {
			world(role(v1alpha1.RolePrime), pending), Wait, v1alpha1.ReasonUnsupportedClaim, "fills for another claim",
		},
		"a claim that an export reads": {
			world(role(v1alpha1.RoleTemporary)), Wait, v1alpha1.ReasonUnsupportedClaim, "temporary",
		},
		"a claim that is exported before it goes": {
			world(role(v1alpha1.RoleFinalExport)), Wait, v1alpha1.ReasonUnsupportedClaim, "exported before it is deleted",
		},
		"a source whose export is not found": {
			world(noSource, func(s *State) { s.Unresolved = true }), Wait, v1alpha1.ReasonExportNotFound, "models names",
		},
		"a source that is not there may come": {world(noSource), Wait, v1alpha1.ReasonSourceNotFound, "no S3Source models"},
		"an engine that takes volumes for itself": {
			world(byMC), Wait, v1alpha1.ReasonUnsupportedSource, "Auto or Native",
		},
		"attributes of an export": {
			world(func(s *State) { s.Source.Spec.RestoreAttributes = true }), Wait, v1alpha1.ReasonUnsupportedSource,
			"restoreAttributes",
		},
		"what the source does not select": {
			world(elsewhere), Wait, v1alpha1.ReasonInvalidSelection, `"alpha/" is not below "beta/"`,
		},
		"the source was edited in time": {world(unnoted, edited), NoteSelection, "", ""},
		"and while there was no place":  {world(unnoted, edited, queued), Wait, v1alpha1.ReasonQueued, ""},
		"the source was edited between attempts": {
			world(begunOnce, edited, due(-time.Minute)), Wait, v1alpha1.ReasonSelectionChanged,
			`prefix was "beta/" and is "gamma/". One run loads one selection`,
		},
		"its files would go elsewhere": {
			world(begunOnce, retargeted), Wait, v1alpha1.ReasonSelectionChanged, `targetPath was "" and is "data"`,
		},
		"it is written in other words": {world(begunOnce, renewed), StartMover, v1alpha1.ReasonImporting, ""},
		"suspended, and the source was edited": {
			world(begunOnce, suspended, edited), Wait, v1alpha1.ReasonSuspended, "",
		},
		"one pod only": {
			world(access(corev1.ReadWriteOncePod)), Wait, v1alpha1.ReasonClaimInUse, "ReadWriteOncePod",
		},
		"one pod only, and there is none": {
			world(access(corev1.ReadWriteOncePod), users()), StartMover, v1alpha1.ReasonImporting, "",
		},
		"another import comes first": {world(ahead), Wait, v1alpha1.ReasonClaimImporting, "S3Import other"},
		"another one's mover is there": {
			world(busy()), Wait, v1alpha1.ReasonClaimImporting, "Pod s3importer-i-2 of S3Import other",
		},
		"and ends": {world(busy(endsFor(endPatience - time.Second))), Wait, v1alpha1.ReasonClaimImporting, "is ending"},
		"and its node is lost": {
			world(busy(endsFor(endPatience))), Wait, v1alpha1.ReasonMoverLost,
			"on node a, was told to end at 2026-11-26 11:59:00 UTC and is still there; it may still write to claim data. If " +
				"the node is off for good, tell Kubernetes: kubectl taint nodes a " +
				"node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
		},
		"nobody knows as whom":          {world(users(unknown)), Wait, v1alpha1.ReasonUserUnknown, "pod app"},
		"the import says as whom":       {world(users(unknown), runAs(7)), StartMover, v1alpha1.ReasonImporting, ""},
		"there is no place":             {world(queued), Wait, v1alpha1.ReasonQueued, "--max-movers"},
		"suspended before it began":     {world(suspended), Wait, v1alpha1.ReasonSuspended, ""},
		"deleted before it began":       {world(deleted), Wait, "", ""},
		"it waits for its next attempt": {world(begunOnce, due(-time.Minute)), Wait, "", ""},
		"the next attempt is due":       {world(begunOnce, due(time.Second)), StartMover, v1alpha1.ReasonImporting, ""},
	}
}

// withAMover is what becomes of one.
func withAMover() map[string]row {
	return map[string]row{
		"it runs":           {world(mover(corev1.PodRunning)), Wait, v1alpha1.ReasonImporting, "loads the objects."},
		"it was just made":  {world(mover(corev1.PodPending, fresh)), Wait, v1alpha1.ReasonImporting, "as soon as"},
		"it does not start": {world(mover(corev1.PodPending)), Wait, v1alpha1.ReasonMoverPending, "cannot start"},
		"it is not ours":    {world(mover(corev1.PodRunning, foreign)), Wait, v1alpha1.ReasonMoverRefused, "not made for"},
		"another comes first, but this one runs": {
			world(mover(corev1.PodRunning), ahead), Wait, v1alpha1.ReasonImporting, "",
		},
		"its source selects something else": {
			world(mover(corev1.PodRunning), edited), DeleteMover, v1alpha1.ReasonSelectionChanged,
			`S3Source models was changed after this import began: prefix was "beta/" and is "gamma/". Pod import-i-1 is ended`,
		},
		"it selects nothing that was named": {
			world(mover(corev1.PodRunning), elsewhere), DeleteMover, v1alpha1.ReasonSelectionChanged, `"alpha/" is not below`,
		},
		"that ends it, which is no failure": {world(mover(corev1.PodRunning, deleting), edited), Wait, "", ""},
		"nobody noted what it loads": {
			world(unnoted, mover(corev1.PodRunning), edited), Wait, v1alpha1.ReasonImporting, "",
		},
		"its source names an export": {world(mover(corev1.PodRunning), unresolved), Wait, v1alpha1.ReasonImporting, ""},
		"its source goes":            {world(mover(corev1.PodRunning), noSource), Wait, v1alpha1.ReasonImporting, ""},
		"one pod only makes way for another": {
			world(access(corev1.ReadWriteOncePod), users(user("app", "")), mover(corev1.PodRunning)), DeleteMover, "", "app",
		},
		"a pod moved away": {world(mover(corev1.PodRunning), users(user("app", "b"))), DeleteMover, "", "app"},
		"one of two moved": {
			world(mover(corev1.PodRunning), users(user("x", "b"), user("y", "a"))), Wait, v1alpha1.ReasonImporting, "",
		},
		"many may write": {
			world(access(corev1.ReadWriteMany), mover(corev1.PodRunning), users(user("app", "b"))),
			Wait, v1alpha1.ReasonImporting, "",
		},
		"a node of nobody": {world(mover(corev1.PodPending), users()), DeleteMover, "", "not used any more"},
		"suspended ends it": {
			world(suspended, mover(corev1.PodRunning)),
			DeleteMover,
			v1alpha1.ReasonSuspended,
			"",
		},
		"deleted in mid-run":          {world(deleted, mover(corev1.PodRunning)), DeleteMover, "", ""},
		"deleted, and it is ending":   {world(deleted, mover(corev1.PodRunning, deleting)), Wait, "", ""},
		"deleted, and it is somebody": {world(deleted, mover(corev1.PodRunning, foreign)), Wait, "", ""},
		"its claim is being deleted": {
			world(mover(corev1.PodRunning), claimDeleted), DeleteMover, v1alpha1.ReasonClaimNotBound, "is ended for it",
		},
		"and its end is no failure": {world(mover(corev1.PodRunning, deleting), claimDeleted), Wait, "", ""},
		"somebody ended it": {
			world(mover(corev1.PodRunning, deleting)), Wait, because(wire.Interrupted), "tried again",
		},
		"it does not end": {world(mover(corev1.PodRunning, lost), byUs), Wait, v1alpha1.ReasonMoverLost, "out-of-service"},
		"we ended it":     {world(suspended, mover(corev1.PodFailed, deleting, reports(interrupt))), Wait, "", ""},
		"we ended it, and nobody wishes it any more": {
			world(byUs, mover(corev1.PodFailed, deleting, reports(interrupt))), Wait, "", "",
		},
		"we ended it when it was complete": {
			world(byUs, mover(corev1.PodSucceeded, deleting, reports(done))), Wait, v1alpha1.ReasonImported, "3 objects",
		},
	}
}

// withoutItsEnd is what becomes of a mover that is gone, as one that was deleted by force.
func withoutItsEnd() map[string]row {
	gone, wasComplete := vanished(corev1.PodRunning), vanished(corev1.PodSucceeded, reports(done))
	noRetries := func(s *State) { s.Source.Spec.Retries.Limit = new(int32(0)) }
	return map[string]row{
		"somebody deleted it by force": {world(gone), Wait, because(wire.Interrupted), "again at 12:00:10 UTC"},
		"before it had a node": {
			world(vanished(corev1.PodPending)), Wait, because(wire.Interrupted), "Pod import-i-1 was deleted by someone else",
		},
		"for the third time": {world(gone, disruptions(2)), Wait, because(wire.Interrupted), "again at 12:00:40 UTC"},
		"again and again":    {world(gone, disruptions(50)), Wait, because(wire.Interrupted), "Gave up after 51 attempts"},
		"it was evicted": {world(vanished(corev1.PodRunning, func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "drained",
			}}
		})), Wait, because(wire.Interrupted), "EvictionByEvictionAPI: drained"},
		"its end was counted":           {world(gone, told), StartMover, v1alpha1.ReasonImporting, ""},
		"and it waits for the next one": {world(gone, told, due(-time.Minute)), Wait, "", ""},
		"there is another one": {
			world(gone, mover(corev1.PodRunning)), Wait, v1alpha1.ReasonImporting, "loads the objects.",
		},
		"it had failed": {
			world(vanished(corev1.PodFailed, reports(denied))), Wait, because(wire.VolumeNotWritable), "make a new one",
		},
		"it was complete": {
			world(wasComplete, noRetries), Wait, v1alpha1.ReasonImported, "3 objects, 10, verified; 4 fetched",
		},
		"it was complete, and is suspended": {world(wasComplete, suspended), Wait, v1alpha1.ReasonImported, ""},
		"it was complete, and was to make way": {
			world(wasComplete, users(user("app", "b"))), Wait, v1alpha1.ReasonImported, "",
		},
		"it was complete, but the source selects something else": {
			world(wasComplete, edited), Wait, v1alpha1.ReasonSelectionChanged, "Pod import-i-1 has ended, but S3Source models",
		},
		"it was complete, and the source names an export that is not found for now": {
			world(wasComplete, unresolved), Wait, v1alpha1.ReasonExportNotFound, "has loaded everything",
		},
		"it was complete, but another claim has the name": {
			world(wasComplete, another), Wait, v1alpha1.ReasonClaimReplaced, "is another one by now",
		},
		"it was complete, and the claim is gone": {
			world(wasComplete, noClaim), Wait, v1alpha1.ReasonClaimReplaced, "is gone",
		},
		"suspended meanwhile":       {world(gone, suspended), Wait, v1alpha1.ReasonSuspended, ""},
		"its claim went":            {world(gone, noClaim), Wait, v1alpha1.ReasonClaimReplaced, "deleted"},
		"its claim is another one":  {world(gone, another), Wait, v1alpha1.ReasonClaimReplaced, "another one"},
		"its source was edited":     {world(gone, edited), Wait, v1alpha1.ReasonSelectionChanged, "gamma"},
		"it was to make way anyway": {world(gone, users(user("app", "b"))), StartMover, v1alpha1.ReasonImporting, ""},
	}
}

// afterAMover is what its end means.
func afterAMover() map[string]row {
	failed := over(v1alpha1.ConditionFailed, time.Second)
	return map[string]row{
		"complete": {
			world(
				mover(corev1.PodSucceeded, reports(done)),
			), Wait, v1alpha1.ReasonImported, "3 objects, 10, verified; 4 fetched",
		},
		"complete, but another claim has the name": {
			world(begunOnce, another, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonClaimReplaced, "another",
		},
		"complete, and the claim is gone": {
			world(begunOnce, noClaim, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonClaimReplaced, "gone",
		},
		"complete, but the source selects something else": {
			world(mover(corev1.PodSucceeded, reports(done)), edited), Wait, v1alpha1.ReasonSelectionChanged,
			`Pod import-i-1 has ended, but S3Source models was changed after this import began: prefix was "beta/"`,
		},
		"complete, but the source names an export that is not found for now": {
			world(mover(corev1.PodSucceeded, reports(done)), unresolved), Wait, v1alpha1.ReasonExportNotFound,
			"has loaded everything",
		},
		"and the claim goes": {
			world(mover(corev1.PodSucceeded, reports(done)), unresolved, claimDeleted), Wait,
			v1alpha1.ReasonSelectionChanged, "fromExport",
		},
		"and the claim is another one": {
			world(begunOnce, another, mover(corev1.PodSucceeded, reports(done)), unresolved), Wait,
			v1alpha1.ReasonClaimReplaced, "another",
		},
		"a failure does not wait for the source": {
			world(mover(corev1.PodFailed, reports(broken)), unresolved), Wait, because(wire.TransferFailed), "tried again",
		},
		"complete, and the source is gone": {
			world(mover(corev1.PodSucceeded, reports(done)), noSource), Wait, v1alpha1.ReasonImported, "",
		},
		"a failure is counted before the source is compared": {
			world(mover(corev1.PodFailed, reports(broken)), edited), Wait, because(wire.TransferFailed), "tried again",
		},
		"a person has to": {
			world(mover(corev1.PodFailed, reports(denied))), Wait, because(wire.VolumeNotWritable), "make a new one",
		},
		"time may help": {
			world(mover(corev1.PodFailed, reports(broken))), Wait, because(wire.TransferFailed), "12:00:10",
		},
		"S3 is waited for": {
			world(failures(6), mover(corev1.PodFailed, reports(slow))), Wait, because(wire.Throttled), "no limit",
		},
		"too many attempts": {
			world(failures(6), mover(corev1.PodFailed, reports(broken))), Wait, because(wire.TransferFailed), "Gave up after 7",
		},
		"it was killed, as it did not end when it was deleted": {
			world(mover(corev1.PodFailed, deleting, sigkilled), failures(6)), Wait, because(wire.Interrupted),
			"Pod import-i-1 was deleted, and its mover was killed before it had ended. It is tried again at",
		},
		"fewer by the source": {
			world(mover(corev1.PodFailed, reports(broken)), func(s *State) {
				s.Source.Spec.Retries.Limit = new(int32(0))
			}), Wait, because(wire.TransferFailed), "Gave up after 1",
		},
		"more by the import": {
			world(mover(corev1.PodFailed, reports(broken)), func(s *State) {
				s.Source.Spec.Retries.Limit, s.Import.Spec.Retries = new(int32(0)), &v1alpha1.Retries{Limit: new(int32(1))}
			}), Wait, because(wire.TransferFailed), "tried again",
		},
		"not yet again": {world(mover(corev1.PodFailed, reports(broken)), told, due(-time.Second)), Wait, "", ""},
		"its name is needed": {
			world(mover(corev1.PodFailed, reports(broken)), told, due(time.Second)), DeleteMover, "", "",
		},
		"its pod is not needed": {
			world(mover(corev1.PodSucceeded, reports(done)), over(v1alpha1.ConditionComplete, time.Second)), DeleteMover, "", "",
		},
		"the logs of a failed one are": {world(mover(corev1.PodFailed, reports(denied)), told, failed), Wait, "", ""},
		"they may not keep a claim that is being deleted": {
			world(mover(corev1.PodFailed, reports(denied)), told, claimDeleted, failed), DeleteMover, "", "",
		},
		"nobody else's pod is removed for it": {
			world(mover(corev1.PodFailed, reports(denied), foreign), told, claimDeleted, failed), Wait, "", "",
		},
		"it is kept":         {world(over(v1alpha1.ConditionComplete, time.Hour)), Wait, "", ""},
		"it is kept a while": {world(ttl(60), over(v1alpha1.ConditionComplete, time.Second)), Wait, "", ""},
		"it is old":          {world(ttl(60), over(v1alpha1.ConditionFailed, time.Hour)), DeleteImport, "", ""},
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, rows := range []map[string]row{beforeAMover(), withAMover(), withoutItsEnd(), afterAMover()} {
		for name, test := range rows {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				d := Decide(test.in, defaults)
				if d.Action != test.want || d.Reason != test.reason || !strings.Contains(d.Message, test.says) {
					t.Errorf("decided %+v, want %s %s %q", d, test.want, test.reason, test.says)
				}
				if d.Action == StartMover && d.Recheck == 0 {
					t.Errorf("nothing wakes the import after %s", d.Action)
				}
			})
		}
	}
}
