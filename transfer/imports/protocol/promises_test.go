// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
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
			mover(corev1.PodRunning, foreign),
		} {
			for _, c := range []change{
				nil, noClaim, another, pending, device, claimDeleted, users(), users(user("app", "b")),
				access(corev1.ReadWriteOncePod), access(corev1.ReadWriteMany), access(corev1.ReadOnlyMany),
				role(v1alpha1.RolePrime), role(v1alpha1.RoleFinalExport),
			} {
				for _, source := range []change{nil, noSource, byMC, elsewhere} {
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
	if count < 20_000 {
		t.Errorf("only %d worlds", count)
	}
}

func keepsPromises(t *testing.T, s State) {
	t.Helper()
	d, i := Decide(s, defaults), s.Import
	next := Status(s, d)
	broke := func(what string) { t.Errorf("%s: decided %+v with %+v, mover %+v", what, d, i.Status, s.Mover) }
	switch d.Action {
	case StartMover:
		if s.Mover != nil || i.DeletionTimestamp != nil || Over(i) || i.Spec.Suspend || s.Ahead != "" || s.Busy != nil {
			broke("a mover starts that may not")
		}
		if s.Claim == nil || s.Claim.Status.Phase != corev1.ClaimBound || s.Claim.DeletionTimestamp != nil ||
			s.Claim.Labels != nil || blockMode(s.Claim) {
			broke("a volume is written that may not be")
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
		if r, ok := moverpod.Ending(s.Mover); !ok || r.Class != wire.Done {
			broke("complete without a report")
		}
	}
	if next.Attempts < i.Status.Attempts {
		broke("attempts are forgotten")
	}
}
