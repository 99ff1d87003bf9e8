// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/protocol"
)

const (
	oldPrefix = "old"
	newPrefix = "new"
)

func selectsOld(s *protocol.State) { s.Source.Spec.Prefix = oldPrefix }

// remember what a volume holds by what its mover was told, not by any hash.
func (sim *simulator) remember(p *corev1.Pod) {
	if sim.filled == nil {
		sim.filled = map[string]string{}
	}
	said := strings.Join(p.Spec.Containers[0].Args, "")
	for _, prefix := range []string{oldPrefix, newPrefix} {
		if !strings.Contains(said, `"prefix":"`+prefix+`"`) {
			continue
		}
		if c := sim.prime(); c != nil {
			sim.filled[c.Spec.VolumeName] = prefix
		}
	}
}

func (sim *simulator) source() *v1alpha1.S3Source {
	source := &v1alpha1.S3Source{}
	sim.must(sim.api.Get(sim.t.Context(), client.ObjectKey{Namespace: "team", Name: "models"}, source))
	return source
}

// handedOver tells that a volume was rebound already.
func (sim *simulator) handedOver() bool {
	for _, v := range sim.volumes() {
		if v.Annotations[v1alpha1.AnnotationPopulatedFor] != "" {
			return true
		}
	}
	return false
}

// edits are the ways in which a request can become another one.
var edits = map[string]func(*simulator){
	"another prefix": func(sim *simulator) {
		source := sim.source()
		source.Spec.Prefix, source.Generation = newPrefix, source.Generation+1
		sim.must(sim.api.Update(sim.t.Context(), source))
	},
	"another source of that name": func(sim *simulator) {
		source := sim.source()
		sim.must(sim.api.Delete(sim.t.Context(), source))
		source.ResourceVersion, source.UID, source.Spec.Prefix = "", "another", newPrefix
		sim.must(sim.api.Create(sim.t.Context(), source))
	},
}

// TestEditedAtEveryWrite changes what is asked for after every write: the claim is bound to
// the new data, unless the volume was handed over before.
func TestEditedAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the protocol some hundred times")
	}
	for name, sc := range scenarios {
		sc.changes = append([]change{selectsOld}, sc.changes...)
		undisturbed := sc.simulator(t)
		undisturbed.converge()
		for kind, edit := range edits {
			for n := 1; n <= undisturbed.writes; n++ {
				t.Run(fmt.Sprintf("%s, %s after write %d", name, kind, n), func(t *testing.T) {
					sim := sc.simulator(t)
					want := newPrefix
					sim.strikeAt, sim.strike = n, func() error {
						if sim.handedOver() {
							want = oldPrefix
						}
						edit(sim)
						return nil
					}
					sim.converge()
					sim.finished(sc.policy)
					sim.atRest()
					if got := sim.filled[sim.volumes()[0].Name]; got != want {
						t.Errorf("the claim is bound to the data of %q, want %q", got, want)
					}
				})
			}
		}
	}
}

// TestRetriedAtEveryWrite bumps the retry token after every write: the end is the same.
func TestRetriedAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the protocol some hundred times")
	}
	sc := scenarios["a class that retains"]
	undisturbed := sc.simulator(t)
	undisturbed.converge()
	for n := 1; n <= undisturbed.writes; n++ {
		t.Run(fmt.Sprintf("after write %d", n), func(t *testing.T) {
			sim := sc.simulator(t)
			sim.strikeAt, sim.strike = n, func() error {
				claim := &corev1.PersistentVolumeClaim{}
				sim.must(sim.api.Get(t.Context(), claimKey, claim))
				claim.Annotations[v1alpha1.AnnotationRetry] = "1"
				sim.must(sim.api.Update(t.Context(), claim))
				return nil
			}
			sim.converge()
			sim.finished(sc.policy)
			sim.atRest()
		})
	}
}

// behind is a client whose view of the source is older than the API server's.
func (sim *simulator) behind(old *v1alpha1.S3Source) client.Client {
	return interceptor.NewClient(sim.ours, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
			opts ...client.GetOption,
		) error {
			if source, ok := o.(*v1alpha1.S3Source); ok {
				old.DeepCopyInto(source)
				return nil
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
}

// TestAnOldViewOfTheSource: a manager whose cache lags neither binds what is not asked for
// any more nor ends what is. It writes nothing, in every state of a population.
func TestAnOldViewOfTheSource(t *testing.T) {
	undisturbed := scenario{changes: []change{selectsOld}, reports: []wire.Report{doneReport}}.simulator(t)
	undisturbed.converge()
	states := 0
	for n := 1; n < undisturbed.writes; n++ {
		sim := scenario{changes: []change{selectsOld}, reports: []wire.Report{doneReport}}.simulator(t)
		before := sim.source()
		edits["another prefix"](sim)
		for step := 0; sim.writes < n && step < 100; step++ {
			sim.must(sim.reconcile())
			sim.play()
		}
		handed, deleted, movers := sim.handedOver(), sim.primeUID(), sim.pods()
		filled := deleted != "" && protocol.Filled(sim.prime())
		o := testOptions()
		r := &Reconciler{Client: sim.behind(before), Live: sim.ours, Events: events.NewFakeRecorder(100), Options: o}
		for range 3 {
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey}); err != nil {
				t.Fatal(err)
			}
			if !handed && sim.handedOver() && sim.filled[sim.volumes()[0].Name] != newPrefix {
				t.Errorf("after write %d: a volume with the data of %q was handed over", n, sim.filled[sim.volumes()[0].Name])
			}
			if len(movers) > 0 && !filled && len(sim.pods()) == 0 {
				t.Errorf("after write %d: a mover of the newest request was ended", n)
			}
			if !handed && deleted != "" && sim.primeUID() != deleted {
				t.Errorf("after write %d: the prime of the newest request was deleted", n)
			}
		}
		states++
	}
	if states < 5 {
		t.Errorf("only %d states were looked at", states)
	}
}

func (sim *simulator) primeUID() types.UID {
	if c := sim.prime(); c != nil {
		return c.UID
	}
	return ""
}

// TestARebindAsksForTheSource: the volume was filled by the request that our cache still
// shows, and the API server knows another one.
func TestARebindAsksForTheSource(t *testing.T) {
	sim := scenario{changes: []change{selectsOld}, reports: []wire.Report{doneReport}}.simulator(t)
	before := sim.source()
	for step := 0; ; step++ {
		if c := sim.prime(); c != nil && protocol.Filled(c) && len(sim.pods()) == 0 {
			break
		}
		if step > 100 {
			t.Fatal("the prime is never filled")
		}
		sim.must(sim.reconcile())
		sim.play()
	}
	edits["another prefix"](sim)
	r := &Reconciler{
		Client:  sim.behind(before),
		Live:    sim.ours,
		Events:  events.NewFakeRecorder(100),
		Options: testOptions(),
	}
	for range 3 {
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		if err != nil || result.RequeueAfter == 0 {
			t.Errorf("reconcile: %+v, %v; want to look again", result, err)
		}
	}
	if sim.handedOver() {
		t.Error("the volume was handed over with what nobody asks for")
	}
}

func (sim *simulator) prime() *corev1.PersistentVolumeClaim {
	for _, c := range sim.claims() {
		if c.Name == protocol.PrimePrefix+claimUID {
			return &c
		}
	}
	return nil
}

// TestGrowsToWhatMoversNeed plays volumes that are too small: each is larger than the last,
// the claim's request stays, and there is an end.
func TestGrowsToWhatMoversNeed(t *testing.T) {
	tooSmall := wire.Report{
		Class:         wire.User,
		Reason:        wire.VolumeTooSmall,
		Message:       "It does not fit.",
		RequiredBytes: 3 << 30,
	}
	grows := func(s *protocol.State) {
		s.Source.Spec.Sizing.OnTooSmall = v1alpha1.TooSmallGrow
		s.Source.Status.Inventory = &v1alpha1.Inventory{Objects: 1, Bytes: 1, ObservedGeneration: 1}
	}
	t.Run("once", func(t *testing.T) {
		sc := scenario{
			changes: []change{grows},
			policy:  corev1.PersistentVolumeReclaimRetain,
			reports: []wire.Report{tooSmall, doneReport},
		}
		undisturbed := sc.simulator(t)
		undisturbed.converge()
		for n := 0; n <= undisturbed.writes; n++ {
			sim := sc.simulator(t)
			sim.strikeAt, sim.strike = n, strikes["the manager dies"]
			sim.converge()
			sim.finished(sc.policy)
			sim.atRest()
			if sim.largest != 3<<30 || sim.request() != 1<<30 {
				t.Errorf(
					"struck at write %d: the last prime asked for %d bytes, the claim asks for %d",
					n,
					sim.largest,
					sim.request(),
				)
			}
		}
	})
	t.Run("without end", func(t *testing.T) {
		sim := scenario{
			changes: []change{grows}, policy: corev1.PersistentVolumeReclaimDelete,
			reports: []wire.Report{tooSmall},
		}.simulator(t)
		sim.converge()
		sim.atRest()
		c := &corev1.PersistentVolumeClaim{}
		sim.must(sim.api.Get(t.Context(), claimKey, c))
		if was, _ := protocol.Populated(c); was.Status != corev1.ConditionFalse ||
			was.Reason != string(wire.VolumeTooSmall) ||
			sim.movers > 10 {
			t.Errorf("after %d movers the condition is %+v", sim.movers, was)
		}
	})
}

func (sim *simulator) request() int64 {
	c := &corev1.PersistentVolumeClaim{}
	sim.must(sim.api.Get(sim.t.Context(), claimKey, c))
	q := c.Spec.Resources.Requests[corev1.ResourceStorage]
	return q.Value()
}
