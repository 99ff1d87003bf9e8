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

// invariants of the protocol, asserted after every step of every simulation.
func (sim *simulator) invariants() {
	sim.t.Helper()
	primes, movers := map[string]int{}, map[string]int{}
	for _, c := range sim.claims() {
		if uid, ok := c.Labels[v1alpha1.LabelClaimUID]; ok {
			primes[uid]++
			continue
		}
		if c.Spec.VolumeName == "" {
			continue
		}
		v := &corev1.PersistentVolume{}
		sim.must(sim.api.Get(sim.t.Context(), client.ObjectKey{Name: c.Spec.VolumeName}, v))
		if v.Annotations[v1alpha1.AnnotationPopulatedFor] != string(c.UID) {
			sim.t.Fatalf("claim %s is bound to volume %s, which is not marked populated", c.Name, v.Name)
		}
	}
	for _, p := range sim.pods() {
		movers[p.Labels[v1alpha1.LabelClaimUID]]++
	}
	for uid, n := range primes {
		if n > 1 || movers[uid] > 1 {
			sim.t.Fatalf("claim %s has %d primes and %d movers", uid, n, movers[uid])
		}
	}
}

// finished checks the end of a population that succeeded.
func (sim *simulator) finished(policy corev1.PersistentVolumeReclaimPolicy) {
	sim.t.Helper()
	claims, volumes := sim.claims(), sim.volumes()
	if len(claims) != 1 || len(volumes) != 1 || len(sim.pods()) != 0 {
		sim.t.Fatalf("left: %d claims, %d volumes, %d pods", len(claims), len(volumes), len(sim.pods()))
	}
	was, _ := protocol.Populated(&claims[0])
	if !protocol.Bound(&claims[0]) || was.Status != corev1.ConditionTrue {
		sim.t.Fatalf("claim %+v", claims[0])
	}
	v := volumes[0]
	if v.Spec.PersistentVolumeReclaimPolicy != policy || v.Annotations[v1alpha1.AnnotationScratchFor] != "" {
		sim.t.Errorf("volume has policy %s and annotations %v", v.Spec.PersistentVolumeReclaimPolicy, v.Annotations)
	}
	run := &v1alpha1.S3Import{}
	sim.must(sim.api.Get(sim.t.Context(), client.ObjectKey{Namespace: "team", Name: protocol.ImportName(&claims[0])}, run))
	if run.Status.Phase != v1alpha1.ImportSucceeded || run.Status.ManifestDigest != doneReport.ManifestDigest {
		sim.t.Errorf("import %+v", run.Status)
	}
}

// atRest is invariant (v).
func (sim *simulator) atRest() {
	sim.t.Helper()
	before := sim.writes
	for range 3 {
		sim.must(sim.reconcile())
	}
	if sim.writes != before {
		sim.t.Errorf("%d writes at rest", sim.writes-before)
	}
}

type scenario struct {
	changes []change
	policy  corev1.PersistentVolumeReclaimPolicy
	reports []wire.Report
}

var scenarios = map[string]scenario{
	"a class that deletes": {nil, corev1.PersistentVolumeReclaimDelete, []wire.Report{doneReport}},
	"a class that retains": {nil, corev1.PersistentVolumeReclaimRetain, []wire.Report{doneReport}},
	"a late class": {
		[]change{lateClass, claimNode},
		corev1.PersistentVolumeReclaimRetain,
		[]wire.Report{doneReport},
	},
	"a mover that fails twice": {nil, corev1.PersistentVolumeReclaimRetain, []wire.Report{
		{Class: wire.Retry, Reason: wire.EndpointUnreachable, Message: "No route."},
		{Class: wire.Retry, Reason: wire.Throttled, Message: "Slow down."},
		doneReport,
	}},
}

// strikes are the ways in which a write can go wrong after it was done.
var strikes = map[string]func() error{
	"the manager dies":   func() error { panic(errCrash) },
	"the answer is lost": func() error { return errLost },
}

// TestStruckAtEveryWrite strikes the manager after its first write, then after its second
// and so on, and wants the same end every time.
func TestStruckAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the protocol some hundred times")
	}
	for name, sc := range scenarios {
		t.Run(name, func(t *testing.T) {
			undisturbed := sc.simulator(t)
			undisturbed.converge()
			undisturbed.finished(sc.policy)
			undisturbed.atRest()
			for kind, strike := range strikes {
				for n := 1; n <= undisturbed.writes; n++ {
					t.Run(fmt.Sprintf("%s after write %d", kind, n), func(t *testing.T) {
						sim := sc.simulator(t)
						sim.strikeAt, sim.strike = n, strike
						sim.converge()
						sim.finished(sc.policy)
						sim.atRest()
					})
				}
			}
		})
	}
}

// TestDeletedAtEveryWrite deletes the claim after every write: nothing stays, not even the
// volume of a class that retains, unless the claim went before there was a record on it.
func TestDeletedAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the protocol some hundred times")
	}
	for name, sc := range scenarios {
		undisturbed := sc.simulator(t)
		undisturbed.converge()
		rebound := undisturbed.writes
		for n := 1; n <= rebound; n++ {
			t.Run(fmt.Sprintf("%s, deleted after write %d", name, n), func(t *testing.T) {
				sim := sc.simulator(t)
				promised := false
				sim.strikeAt, sim.strike = n, func() error {
					for _, v := range sim.volumes() {
						promised = promised || v.Annotations[v1alpha1.AnnotationPopulatedFor] != ""
					}
					c := &corev1.PersistentVolumeClaim{}
					sim.must(sim.api.Get(t.Context(), claimKey, c))
					sim.must(sim.api.Delete(t.Context(), c))
					return nil
				}
				sim.converge()
				if promised && sc.policy == corev1.PersistentVolumeReclaimRetain {
					return // The volume was the user's, who wants such volumes kept.
				}
				sim.orphansReported()
				if left := len(sim.claims()) + len(sim.volumes()) + len(sim.pods()); left != 0 {
					t.Errorf("left: %d claims, %d volumes, %d pods", len(sim.claims()), len(sim.volumes()), len(sim.pods()))
				}
			})
		}
	}
}

func (sc scenario) simulator(t *testing.T) *simulator {
	t.Helper()
	sim := newSimulator(t, sc.changes...)
	sim.policy, sim.reports = sc.policy, sc.reports
	return sim
}
