// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
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
		{suspended},
		{over(v1alpha1.ConditionComplete, time.Hour)},
		{over(v1alpha1.ConditionFailed, time.Minute)},
		{over(v1alpha1.ConditionFailed, time.Minute), ttl(1)},
		{over(v1alpha1.ConditionFailed, time.Minute), deleted},
		{begunOnce},
		{begunOnce, due(-time.Minute)},
		{begunOnce, failures(6)},
	} {
		for _, m := range []change{
			nil, mover(corev1.PodPending), mover(corev1.PodRunning), mover(corev1.PodRunning, deleting),
			mover(corev1.PodRunning, lost), mover(corev1.PodSucceeded, reports(done)),
			mover(corev1.PodFailed, reports(broken)), mover(corev1.PodFailed, reports(denied), deleting),
			mover(corev1.PodRunning, foreign), vanished(corev1.PodRunning), vanished(corev1.PodSucceeded, reports(done)),
		} {
			for _, c := range []change{
				nil, noClaim, another, pending, device, claimDeleted, users(), users(user("app", "b")),
				access(corev1.ReadWriteOncePod), access(corev1.ReadWriteMany), access(corev1.ReadOnlyMany),
				role(v1alpha1.RolePrime), role(v1alpha1.RoleFinalExport),
			} {
				for _, source := range []change{
					nil, noSource, byMC, elsewhere, edited, retargeted, renewed, unnoted, unresolved,
				} {
					for _, other := range []change{nil, told, queued, ahead, busy(), busy(endsFor(time.Hour)), byUs, runAs(7)} {
						s := world(slices.DeleteFunc(append(slices.Clone(life), m, c, source, other),
							func(c change) bool { return c == nil })...)
						count++
						keepsPromises(t, s)
					}
				}
			}
		}
	}
	if count < 97_000 {
		t.Errorf("only %d worlds", count)
	}
}

func keepsPromises(t *testing.T, s State) {
	t.Helper()
	d, i := Decide(s, defaults), s.Import
	next := Status(s, d)
	broke := func(what string) { t.Errorf("%s: decided %+v with %+v, mover %+v", what, d, i.Status, s.Mover) }
	switch d.Action {
	case NoteSelection:
		if s.Mover != nil || s.Queued != nil || s.Ahead != "" || s.Busy != nil || s.Claim == nil || Over(i) {
			broke("what is loaded is noted though no mover may start")
		}
	case StartMover:
		if s.Mover != nil || i.DeletionTimestamp != nil || Over(i) || i.Spec.Suspend || s.Ahead != "" || s.Busy != nil {
			broke("a mover starts that may not")
		}
		if s.Claim == nil || s.Claim.Status.Phase != corev1.ClaimBound || s.Claim.DeletionTimestamp != nil ||
			s.Claim.Labels != nil || blockMode(s.Claim) {
			broke("a volume is written that may not be")
		}
		makesWay := len(s.Users) != 1 || s.Users[0].Name != "app" || s.Users[0].Spec.NodeName != "a"
		if s.Vanished != nil && i.Status.EndedMover == "" && !makesWay {
			broke("a mover starts at once after one that vanished")
		}
		if r, ok := endingOf(s.Vanished); ok && r.Class == wire.Done && i.Status.EndedMover == "" {
			broke("what is complete is loaded again")
		}
		pod, err := Mover(s, Options{Defaults: defaults})
		if err != nil || pod.Spec.SecurityContext.FSGroup != nil || pod.Spec.NodeName != "" {
			broke("a mover cannot be made, or changes the group of files, or passes the scheduler by")
		}
	case DeleteImport:
		if !Over(i) || i.Spec.TTLSecondsAfterFinished == nil {
			broke("an import is deleted that nobody wants deleted")
		}
	case DeleteMover:
		if !OwnedBy(s.Mover, i) {
			broke("somebody's pod is deleted")
		}
		if r, ok := moverpod.Ending(s.Mover); ok && r.Class == wire.Done && !Complete(i) && i.DeletionTimestamp == nil &&
			i.Status.EndedMover != string(s.Mover.UID) && !Over(i) {
			broke("a result is thrown away")
		}
	case Wait:
		if i.DeletionTimestamp != nil && s.ours() && attempts.Active(s.Mover) {
			broke("an import that is deleted goes on")
		}
		if s.ours() && attempts.Active(s.Mover) && s.Mover.DeletionTimestamp == nil && !Over(i) && s.otherClaim() {
			broke("a mover of another claim goes on")
		}
	}
	if next.Phase == v1alpha1.ImportSucceeded && i.Status.Phase != v1alpha1.ImportSucceeded {
		if s.last() == nil {
			broke("complete without a mover")
		} else if r, ok := moverpod.Ending(s.last()); !ok || r.Class != wire.Done {
			broke("complete without a report")
		}
	}
	if next.Attempts < i.Status.Attempts {
		broke("attempts are forgotten")
	}
	if was := i.Status.Selection; was != nil && (next.Selection == nil || *next.Selection != *was) ||
		was == nil && (next.Selection != nil) != (d.Action == NoteSelection) {
		broke("what is loaded was noted, and is noted anew")
	}
	loadsOneSelection(t, s, d, next)
}

func endingOf(pod *corev1.Pod) (wire.Report, bool) {
	if pod == nil {
		return wire.Report{}, false
	}
	return moverpod.Ending(pod)
}

// loadsOneSelection: one run loads one selection, and none before that is noted.
func loadsOneSelection(t *testing.T, s State, d Decision, next v1alpha1.S3ImportStatus) {
	t.Helper()
	i, noted := s.Import, s.Import.Status.Selection
	broke := func(what string) { t.Errorf("%s: decided %+v with %+v, mover %+v", what, d, i.Status, s.Mover) }
	other := false
	if noted != nil && s.Source != nil {
		now, err := SelectionOf(i.Spec, s.Source)
		other = err != nil || now != *noted
	}
	if d.Action == StartMover {
		pod, err := Mover(s, Options{Defaults: defaults})
		if err != nil || noted == nil {
			t.Fatalf("a mover starts before it is noted what it loads: %v", err)
		}
		r, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
		if err != nil || r.Source.Bucket != noted.Bucket || strings.TrimSuffix(r.Source.Prefix, "/")+"/" != noted.Prefix ||
			r.Volume.TargetPath != noted.TargetPath {
			broke("a mover starts that loads another selection")
		}
	}
	if other && d.Action == Wait && s.ours() && attempts.Active(s.Mover) && s.Mover.DeletionTimestamp == nil && !Over(i) {
		broke("a mover of another selection goes on")
	}
	if next.Phase == v1alpha1.ImportSucceeded && (other || s.Unresolved && noted != nil) {
		broke("complete with what the source does not select any more")
	}
}
