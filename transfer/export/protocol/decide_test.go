// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
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
		Class:          wire.Done,
		Objects:        3,
		Bytes:          10,
		SentObjects:    3,
		SentBytes:      10,
		ManifestDigest: "sha256:x",
	}
	denied    = wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no."}
	slow      = wire.Report{Class: wire.RetryUncounted, Reason: wire.Throttled, Message: "slow down"}
	broken    = wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "reset"}
	interrupt = wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: "SIGTERM"}
	defaults  = moverpod.Defaults{RunAs: moverpod.NonRoot}
)

// Each row is one claim about the world.
func TestDecide(t *testing.T) {
	t.Parallel()
	unknown := user("app", "a")
	unknown.Spec.SecurityContext = nil
	for name, test := range map[string]struct {
		in     State
		want   Action
		reason v1alpha1.Reason
		says   string
	}{
		"a mover starts":                        {world(), StartMover, v1alpha1.ReasonExporting, "export-e-1"},
		"what may leave uploads is noted first": {world(unguarded), AddFinalizer, "", ""},
		"a dry run leaves none":                 {world(unguarded, dryRun), StartMover, v1alpha1.ReasonExporting, ""},
		"a claim that is not there may come":    {world(noClaim), Wait, v1alpha1.ReasonClaimNotFound, "no claim data"},
		"a claim that went is lost": {
			world(noClaim, begunOnce), Wait, v1alpha1.ReasonClaimReplaced, "deleted",
		},
		"a claim that went before its export began, too": {
			world(noClaim, ofItsClaim), Wait, v1alpha1.ReasonClaimReplaced, "label s3populator.io/claim-uid says",
		},
		"what is exported before a deletion has an export claim, which may come": {
			world(noClaim, ofItsClaim, lastExport), Wait, v1alpha1.ReasonClaimNotFound, "no claim data",
		},
		"a namesake of the claim is not exported for it": {
			world(ofItsClaim, another), Wait, v1alpha1.ReasonClaimReplaced, "claim data with the UID c-1, which is not",
		},
		"the claim that it was made for is": {
			world(ofItsClaim), StartMover, v1alpha1.ReasonExporting, "",
		},
		"an export claim is another one always": {
			world(ofItsClaim, lastExport, another), StartMover, v1alpha1.ReasonExporting, "",
		},
		"another claim is another volume": {
			world(begunOnce, another), Wait, v1alpha1.ReasonClaimReplaced, "another one",
		},
		"a claim that is being filled is waited": {world(pending), Wait, v1alpha1.ReasonClaimNotBound, "Pending"},
		"a claim that is being deleted":          {world(claimDeleted), Wait, v1alpha1.ReasonClaimReplaced, "deleted"},
		"a device has no files":                  {world(device), Wait, v1alpha1.ReasonUnsupportedClaim, "Block"},
		"a claim that is filled for another is nobody's to export": {
			world(prime, pending), Wait, v1alpha1.ReasonUnsupportedClaim, "for another claim",
		},
		"a prefix that cannot be": {
			world(badPrefix), Wait, v1alpha1.ReasonInvalidPrefix, "spec.destination.prefix: too long.",
		},
		"one pod only": {
			world(access(corev1.ReadWriteOncePod)), Wait, v1alpha1.ReasonClaimInUse, "ReadWriteOncePod",
		},
		"one pod only, and there is none": {
			world(access(corev1.ReadWriteOncePod), users()), StartMover, v1alpha1.ReasonExporting, "",
		},
		"one pod only makes way for another": {
			world(access(corev1.ReadWriteOncePod), users(user("app", "")), mover(corev1.PodRunning)), DeleteMover, "", "app",
		},
		"nobody knows as whom":            {world(users(unknown)), Wait, v1alpha1.ReasonUserUnknown, "pod app"},
		"the export says as whom":         {world(users(unknown), runAs(7)), StartMover, v1alpha1.ReasonExporting, ""},
		"another run has the destination": {world(ahead), Wait, v1alpha1.ReasonDestinationInUse, "other"},
		"there is no place":               {world(queued), Wait, v1alpha1.ReasonQueued, "--max-movers"},
		"suspended before it began":       {world(suspended), Wait, v1alpha1.ReasonSuspended, ""},
		"suspended ends the mover": {
			world(suspended, mover(corev1.PodRunning)), DeleteMover, v1alpha1.ReasonSuspended, "",
		},
		"suspended, and it was complete": {
			world(suspended, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonExported, "3 objects",
		},
		"we ended it": {world(suspended, mover(corev1.PodFailed, deleting, reports(interrupt))), Wait, "", ""},
		"we ended it, and nobody wishes it any more": {
			world(byUs, mover(corev1.PodFailed, deleting, reports(interrupt))), Wait, "", "",
		},
		"we ended it when it was complete": {
			world(byUs, mover(corev1.PodSucceeded, deleting, reports(done))), Wait, v1alpha1.ReasonExported, "3 objects",
		},
		"somebody ended it": {
			world(mover(corev1.PodRunning, deleting)), Wait, because(wire.Interrupted), "tried again",
		},
		"it runs":           {world(mover(corev1.PodRunning)), Wait, v1alpha1.ReasonExporting, "exports the volume."},
		"it does not start": {world(mover(corev1.PodPending)), Wait, v1alpha1.ReasonMoverPending, "cannot start"},
		"it is not ours": {
			world(mover(corev1.PodRunning, foreign)), Wait, v1alpha1.ReasonMoverRefused, "not made for",
		},
		"a pod moved away": {world(mover(corev1.PodRunning), users(user("app", "b"))), DeleteMover, "", "app"},
		"one of two moved": {
			world(mover(corev1.PodRunning), users(user("x", "b"), user("y", "a"))), Wait, v1alpha1.ReasonExporting, "",
		},
		"a pod has no node": {
			world(mover(corev1.PodRunning), users(user("app", ""))), Wait, v1alpha1.ReasonExporting, "",
		},
		"many may read": {
			world(access(corev1.ReadWriteMany), mover(corev1.PodRunning), users(user("app", "b"))),
			Wait, v1alpha1.ReasonExporting, "",
		},
		"a node of nobody": {world(mover(corev1.PodPending), users()), DeleteMover, "", "not used any more"},
		"complete, but another claim has the name": {
			world(begunOnce, another, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonClaimReplaced, "another",
		},
		"complete, and nobody noted that it began": {
			world(mover(corev1.PodSucceeded, reports(done)), func(s *State) {
				s.Export.Status.Attempts, s.Export.Status.ClaimUID, s.Claim.UID = 0, "", "c-2"
			}), Wait, v1alpha1.ReasonClaimReplaced, "another one",
		},
		"complete, and the claim is gone": {
			world(begunOnce, noClaim, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonClaimReplaced, "gone",
		},
		"it failed, and another claim has the name": {
			world(begunOnce, another, mover(corev1.PodFailed, reports(broken))), Wait, because(wire.TransferFailed), "",
		},
		"it is complete": {
			world(mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonExported, "3 objects, 10, verified",
		},
		"a person has to": {
			world(mover(corev1.PodFailed, reports(denied))), Wait, because(wire.AccessDenied), "make a new one",
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
		"not yet again": {world(mover(corev1.PodFailed, reports(broken)), told, due(-time.Second)), Wait, "", ""},
		"its name is needed": {
			world(mover(corev1.PodFailed, reports(broken)), told, due(time.Second)), DeleteMover, "", "",
		},
		"deleted in mid-run": {world(deleted, mover(corev1.PodRunning)), DeleteMover, "", ""},
		"the mover is ending": {
			world(deleted, mover(corev1.PodRunning, deleting)), Wait, "", "",
		},
		"uploads are ended":    {world(deleted, begunOnce), StartAbort, "", ""},
		"it had not begun":     {world(deleted), RemoveFinalizer, "", ""},
		"it is garbage":        {world(deleted, unguarded, mover(corev1.PodRunning)), Wait, "", ""},
		"they are being ended": {world(deleted, begunOnce, abort()), Wait, "", ""},
		"they were ended":      {world(deleted, begunOnce, abort(reports(done))), Wait, "", ""},
		"its pod goes":         {world(deleted, begunOnce, aborted, abort(reports(done))), DeleteAbort, "", ""},
		"and then the export":  {world(deleted, begunOnce, aborted), RemoveFinalizer, "", ""},
		"they cannot be ended": {world(deleted, begunOnce, abort(reports(denied))), RemoveFinalizer, "", "may be open"},
		"they may be later":    {world(deleted, begunOnce, abort(reports(broken))), DeleteAbort, "", ""},
		"nobody has the keys any more": {
			world(deleted, begunOnce, abort(reports(wire.Report{Class: wire.Retry, Reason: wire.CredentialsMissing}))),
			RemoveFinalizer, "", "may be open",
		},
		"it takes too long": {world(deletedFor(10*time.Minute), begunOnce, abort()), RemoveFinalizer, "", "in time"},
		"nothing runs here": {
			world(deletedFor(10*time.Minute), begunOnce), RemoveFinalizer, "", "no pod could be started",
		},
		"a failed run ends uploads": {
			world(over(v1alpha1.ConditionFailed, time.Second)), StartAbort, "", "",
		},
		"a manager that was away tries it, too": {
			world(over(v1alpha1.ConditionFailed, time.Hour), startedNow), StartAbort, "", "",
		},
		"a complete run has none": {world(over(v1alpha1.ConditionComplete, time.Second)), RemoveFinalizer, "", ""},
		"its pod is not needed": {
			world(mover(corev1.PodSucceeded, reports(done)), unguarded, over(v1alpha1.ConditionComplete, time.Second)),
			DeleteMover, "", "",
		},
		"the logs of a failed one are": {
			world(mover(corev1.PodFailed, reports(denied)), unguarded, over(v1alpha1.ConditionFailed, time.Second)),
			Wait, "", "",
		},
		"they may not keep a claim that is being deleted": {
			world(mover(corev1.PodFailed, reports(denied)), told, unguarded, claimDeleted,
				over(v1alpha1.ConditionFailed, time.Second)), DeleteMover, "", "",
		},
		"nor until the next attempt": {
			world(mover(corev1.PodFailed, reports(broken)), told, due(-time.Minute), claimDeleted), DeleteMover, "", "",
		},
		"nor while suspended": {
			world(mover(corev1.PodFailed, reports(broken)), told, suspended, claimDeleted), DeleteMover, "", "",
		},
		"its end is counted before that": {
			world(mover(corev1.PodFailed, reports(denied)), claimDeleted), Wait, because(wire.AccessDenied), "make a new one",
		},
		"nobody else's pod is removed for it": {
			world(mover(corev1.PodFailed, reports(denied), foreign), told, unguarded, claimDeleted,
				over(v1alpha1.ConditionFailed, time.Second)), Wait, "", "",
		},
		"a mover that runs exports a claim that is being deleted": {
			world(mover(corev1.PodRunning), claimDeleted), Wait, v1alpha1.ReasonExporting, "exports the volume.",
		},
		"one that does not start keeps none": {
			world(mover(corev1.PodPending), claimDeleted), DeleteMover, v1alpha1.ReasonClaimNotBound, "being deleted",
		},
		"one that was made just now may start": {
			world(mover(corev1.PodPending, fresh), claimDeleted), Wait, v1alpha1.ReasonExporting, "as soon as",
		},
		"and its end is no failure": {
			world(mover(corev1.PodPending, deleting), claimDeleted), Wait, "", "",
		},
		"it is kept":          {world(unguarded, over(v1alpha1.ConditionComplete, time.Hour)), Wait, "", ""},
		"it is told of first": {world(unguarded, ttl(0), over(v1alpha1.ConditionComplete, 9*time.Second)), Wait, "", ""},
		"and goes then": {
			world(unguarded, ttl(0), over(v1alpha1.ConditionComplete, 10*time.Second)), DeleteExport, "", "",
		},
		"it is kept a while": {world(unguarded, ttl(60), over(v1alpha1.ConditionComplete, time.Second)), Wait, "", ""},
		"it is old": {
			world(unguarded, ttl(60), over(v1alpha1.ConditionComplete, time.Hour)), DeleteExport, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(test.in, defaults)
			if d.Action != test.want || d.Reason != test.reason || !strings.Contains(d.Message, test.says) {
				t.Errorf("decided %+v, want %s %s %q", d, test.want, test.reason, test.says)
			}
			if d.Action != Wait && d.Recheck == 0 && d.Action != DeleteMover && d.Action != DeleteAbort &&
				d.Action != DeleteExport {
				t.Errorf("nothing wakes the export after %s", d.Action)
			}
		})
	}
}

func because(r wire.Reason) v1alpha1.Reason { return v1alpha1.Reason(r) }

func dryRun(s *State)       { s.Export.Spec.DryRun = true }
func another(s *State)      { s.Claim.UID = "c-2" }
func ofItsClaim(s *State)   { s.Export.Labels = map[string]string{v1alpha1.LabelClaimUID: "c-1"} }
func lastExport(s *State)   { s.Export.Labels[v1alpha1.LabelRole] = v1alpha1.RoleFinalExport }
func pending(s *State)      { s.Claim.Status.Phase = corev1.ClaimPending }
func prime(s *State)        { s.Claim.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RolePrime} }
func claimDeleted(s *State) { s.Claim.DeletionTimestamp = new(ago(time.Second)) }
func device(s *State)       { s.Claim.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) }
func badPrefix(s *State)    { s.PrefixError = errors.New("too long") }
func startedNow(s *State)   { s.Started = now }
func foreign(p *corev1.Pod) { p.Labels = nil }
func fresh(p *corev1.Pod)   { p.CreationTimestamp = ago(time.Second) }

func ahead(s *State) {
	s.Ahead = &v1alpha1.S3Export{}
	s.Ahead.Name = "other"
}

func runAs(uid int64) change {
	return func(s *State) { s.Export.Spec.Mover.PodSecurityContext = &corev1.PodSecurityContext{RunAsUser: &uid} }
}

func failures(n int32) change    { return func(s *State) { s.Export.Status.Failures = n } }
func disruptions(n int32) change { return func(s *State) { s.Export.Status.Disruptions = n } }

// due sets when the next attempt was due, so long ago.
func due(since time.Duration) change {
	return func(s *State) { s.Export.Status.NextAttemptTime = new(ago(since)) }
}

func deletedFor(d time.Duration) change {
	return func(s *State) { s.Export.DeletionTimestamp = new(ago(d)) }
}
