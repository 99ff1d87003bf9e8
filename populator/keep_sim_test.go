// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/protocol"
)

// foundFull has a provisioner hand out a directory with files: the first mover refuses it, the
// second, after a retry token, does not come to look, and the third has it all to itself.
func foundFull(t *testing.T) *simulator {
	t.Helper()
	sim := newSimulator(t)
	sim.reports = []wire.Report{
		{Class: wire.User, Reason: wire.VolumeNotEmpty, Message: "It holds photos/cat.jpg."},
		{Class: wire.Retry, Reason: wire.TransferFailed, Message: "No luck."},
		doneReport,
	}
	return sim
}

// tryAgain is what the user does who reads that the volume is kept.
func (sim *simulator) tryAgain() {
	for _, c := range sim.claims() {
		if was, told := protocol.Populated(&c); told && was.Reason == string(wire.VolumeNotEmpty) &&
			c.Annotations[v1alpha1.AnnotationRetry] == "" {
			c.Annotations[v1alpha1.AnnotationRetry] = "1"
			sim.must(sim.api.Update(sim.t.Context(), &c))
		}
	}
}

// A claim may be deleted at any moment, and nobody of us sees it: what its volume held before
// stays, on a volume that no other claim is given, until a mover has emptied it by its word.
func TestAVolumeThatHeldSomethingOutlivesItsClaim(t *testing.T) {
	play := func(t *testing.T, at int, strike func(*simulator) error) *simulator {
		t.Helper()
		sim := foundFull(t)
		sim.strikeAt, sim.strike = at, func() error { return strike(sim) }
		for range 120 {
			sim.must(client.IgnoreNotFound(sim.reconcile()))
			sim.tryAgain()
			sim.play()
			sim.now = sim.now.Add(noon.Sub(noon.Add(-2e9)))
		}
		return sim
	}
	undisturbed := play(t, 0, nil)
	undisturbed.finished(corev1.PersistentVolumeReclaimDelete)
	if undisturbed.movers != 3 {
		t.Fatalf("%d movers", undisturbed.movers)
	}
	held := 0
	for n := 1; n <= undisturbed.writes; n++ {
		t.Run(fmt.Sprintf("deleted after write %d", n), func(t *testing.T) {
			full := false
			sim := play(t, n, func(sim *simulator) error {
				full = sim.movers == 1 || sim.movers == 2
				for _, c := range sim.claims() {
					if c.UID == claimUID {
						return sim.api.Delete(t.Context(), &c)
					}
				}
				return nil
			})
			if !full {
				return
			}
			held++
			left := sim.volumes()
			if len(left) != 1 || left[0].Status.Phase != corev1.VolumeReleased ||
				left[0].Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
				t.Errorf("the volume is not kept: %+v", left)
			}
		})
	}
	if held < 4 {
		t.Errorf("the claim was deleted only %d times while the volume held something", held)
	}
}

// An administrator, or a policy that does so with every volume, sets Retain at any moment. It
// stays, and nobody fights over it.
func TestARetainOfTheAdministratorStays(t *testing.T) {
	undisturbed := newSimulator(t)
	undisturbed.converge()
	for n := 1; n <= undisturbed.writes; n++ {
		t.Run(fmt.Sprintf("set after write %d", n), func(t *testing.T) {
			sim := newSimulator(t)
			want := corev1.PersistentVolumeReclaimDelete
			sim.strikeAt, sim.strike = n, func() error {
				for _, v := range sim.volumes() {
					want = corev1.PersistentVolumeReclaimRetain
					v.Spec.PersistentVolumeReclaimPolicy = want
					sim.must(sim.api.Update(t.Context(), &v))
				}
				return nil
			}
			sim.converge()
			sim.finished(want)
			sim.atRest()
		})
	}
}
