// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// protect keeps a claim that is deleted in the API.
const protect = "kubernetes.io/pvc-protection"

// The volume is filled, and our view of the claim is older than what the API server has.
func TestARebindAsksForTheClaim(t *testing.T) {
	cases := map[string]func(*simulator, *corev1.PersistentVolumeClaim){
		"it was bound to another volume": func(sim *simulator, c *corev1.PersistentVolumeClaim) {
			c.Spec.VolumeName = "other"
			sim.must(sim.api.Update(sim.t.Context(), c))
		},
		"it is being deleted": func(sim *simulator, c *corev1.PersistentVolumeClaim) {
			c.Finalizers = []string{protect}
			sim.must(sim.api.Update(sim.t.Context(), c))
			sim.must(sim.api.Delete(sim.t.Context(), c))
		},
		"it was created again": func(sim *simulator, c *corev1.PersistentVolumeClaim) {
			sim.must(sim.api.Delete(sim.t.Context(), c))
			c.UID, c.ResourceVersion = "another", ""
			sim.must(sim.api.Create(sim.t.Context(), c))
		},
		"its retry token is another": func(sim *simulator, c *corev1.PersistentVolumeClaim) {
			c.Annotations[v1alpha1.AnnotationRetry] = "1"
			sim.must(sim.api.Update(sim.t.Context(), c))
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			for step := 0; sim.prime() == nil || !protocol.Filled(sim.prime()) || len(sim.pods()) > 0; step++ {
				if step > 100 {
					t.Fatal("the prime is never filled")
				}
				sim.must(sim.reconcile())
				sim.play()
			}
			before := &corev1.PersistentVolumeClaim{}
			sim.must(sim.api.Get(t.Context(), claimKey, before))
			change(sim, before.DeepCopy())
			r := &Reconciler{
				Client:  sim.remembering(before),
				Live:    sim.ours,
				Events:  events.NewFakeRecorder(100),
				Options: testOptions(),
			}
			for range 3 {
				if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey}); err != nil {
					t.Error(err)
				}
			}
			if sim.handedOver() {
				t.Error("the volume was handed over")
			}
		})
	}
}

// No mover is made for a prime that the API server shows otherwise than our cache does.
func TestNoMoverForAPrimeThatIsNotAsItWas(t *testing.T) {
	cases := map[string]func(*simulator, *corev1.PersistentVolumeClaim){
		"it is filled": func(sim *simulator, p *corev1.PersistentVolumeClaim) {
			p.Annotations[v1alpha1.AnnotationPopulated] = "mover-uid"
			sim.must(sim.api.Update(sim.t.Context(), p))
		},
		"it is being deleted": func(sim *simulator, p *corev1.PersistentVolumeClaim) {
			p.Finalizers = []string{protect}
			sim.must(sim.api.Update(sim.t.Context(), p))
			sim.must(sim.api.Delete(sim.t.Context(), p))
		},
		"it was created again": func(sim *simulator, p *corev1.PersistentVolumeClaim) {
			sim.must(sim.api.Delete(sim.t.Context(), p))
			p.UID, p.ResourceVersion = "another", ""
			sim.must(sim.api.Create(sim.t.Context(), p))
		},
		"it is gone": func(sim *simulator, p *corev1.PersistentVolumeClaim) {
			sim.must(sim.api.Delete(sim.t.Context(), p))
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			s := emptyPrime(t, sim)
			change(sim, s.Prime.DeepCopy())
			r := &Reconciler{Client: sim.api, Live: sim.api, Options: testOptions()}
			if _, err := r.act(t.Context(), s, protocol.Decision{Action: protocol.StartMover}); !errors.Is(err, errStale) {
				t.Errorf("error %v, want a stale view", err)
			}
			if len(sim.pods()) > 0 {
				t.Error("a mover was made")
			}
		})
	}
}

// What guards a write, as it is sent.
const (
	seenVolume = `"resourceVersion":"volume-seen"`
	seenPrime  = `"resourceVersion":"prime-seen"`
	seenClaim  = `"resourceVersion":"10"`
	seenNode   = `{"op":"test","path":"/metadata/annotations/volume.kubernetes.io~1selected-node","value":"a"}`
	seenUID    = `"uid":"pod-uid"`
)

// Each write that changes or deletes an object says which state of it was seen, so that the
// API server refuses it when there is a newer one. A creation needs none.
func TestWritesAreGuarded(t *testing.T) {
	wants := map[protocol.Action]string{
		protocol.CreatePrime:    "",
		protocol.StartConsumer:  "",
		protocol.StartMover:     seenVolume, // It forgets the consumer first.
		protocol.ReleaseNode:    seenNode,
		protocol.SelectNode:     seenPrime,
		protocol.DeleteConsumer: seenUID,
		protocol.DeleteMover:    seenUID,
		protocol.ReleaseVolume:  seenVolume,
		protocol.RememberPrime:  seenClaim,
		protocol.MarkScratch:    seenVolume,
		protocol.KeepVolume:     seenVolume,
		protocol.RecordFailure:  seenPrime,
		protocol.RecordFound:    seenPrime,
		protocol.MarkPopulated:  seenPrime,
		protocol.Rebind:         seenVolume,
		protocol.DeletePrime:    seenPrime,
		protocol.RecordEdit:     seenPrime,
		protocol.RememberSize:   seenClaim,
		protocol.ReplacePrime:   seenPrime,
	}
	for action := range (&Reconciler{}).writes() {
		t.Run(string(action), func(t *testing.T) {
			want, known := wants[action]
			if !known {
				t.Fatal("a new action: say here what guards its write")
			}
			sent := sentBy(t, action)
			if want == "" && len(sent) > 0 || want != "" && (len(sent) == 0 || !strings.Contains(sent[0], want)) {
				t.Errorf("it sends %q, want %s first", sent, want)
			}
		})
	}
}

// anyWrite is a state in which each action can be carried out.
func anyWrite(action protocol.Action) protocol.State {
	s := world(claimNode, withPrime, moverIn(corev1.PodFailed, ended(2)))
	s.Prime.ResourceVersion = "prime-seen"
	s.PrimeVolume = volume("pv-1", s.Prime)
	s.PrimeVolume.ResourceVersion = "volume-seen"
	s.PrimeVolume.Annotations[v1alpha1.AnnotationAttachedByConsumer] = "a"
	s.Mover.UID = "pod-uid"
	s.Mover.Annotations = map[string]string{v1alpha1.AnnotationRequestHash: "1.earlier"}
	s.Consumer = s.Mover.DeepCopy()
	if action == protocol.StartMover {
		delete(s.Prime.Annotations, v1alpha1.AnnotationPopulated)
	}
	return s
}

// sentBy are the patches and the preconditions of the deletions that an action sends.
func sentBy(t *testing.T, action protocol.Action) (sent []string) {
	t.Helper()
	s := anyWrite(action)
	say := func(raw []byte, err error) error {
		sent = append(sent, string(raw))
		return err
	}
	recording := interceptor.NewClient(newSimulator(t).api, interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			if claim, ok := o.(*corev1.PersistentVolumeClaim); ok && key.Name == s.Prime.Name {
				s.Prime.DeepCopyInto(claim)
				return nil
			}
			return c.Get(ctx, key, o, opts...)
		},
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return nil },
		Patch: func(_ context.Context, _ client.WithWatch, o client.Object, p client.Patch, _ ...client.PatchOption) error {
			return say(p.Data(o))
		},
		Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, opts ...client.DeleteOption) error {
			return say(json.Marshal((&client.DeleteOptions{}).ApplyOptions(opts).Preconditions))
		},
	})
	r := &Reconciler{Client: recording, Live: recording, Options: testOptions()}
	if _, err := r.act(t.Context(), s, protocol.Decision{Action: action}); err != nil {
		t.Fatal(err)
	}
	return sent
}

// The sweeper's cache does not have a claim yet that was just created: what was made for it stays.
func TestSweepAsksTheAPIServer(t *testing.T) {
	claim := world().Claim
	claim.ResourceVersion, claim.UID = "", goneUID
	prime := leftover(protocol.PrimePrefix+goneUID, "pv-1")
	v := volume("pv-1", prime)
	marked(v)
	w := sweeperOf(t, prime, v)
	w.Reconciler.Live = sweeperOf(t, prime.DeepCopy(), v.DeepCopy(), claim).Reconciler.Client
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Reconciler.Get(t.Context(), client.ObjectKeyFromObject(prime), prime); err != nil {
		t.Errorf("the prime of a claim that exists: %v", err)
	}
}

// Replicas that are not the leader delete nothing.
func TestOnlyTheLeaderSweeps(t *testing.T) {
	var sweeper manager.Runnable = Sweeper{}
	if one, ok := sweeper.(manager.LeaderElectionRunnable); !ok || !one.NeedLeaderElection() {
		t.Error("every replica sweeps")
	}
}

// Somebody made a claim by hand that has the name of the prime.
func TestAForeignPrimeIsTold(t *testing.T) {
	sim := newSimulator(t)
	s := world()
	foreign := world().Claim
	foreign.Name, foreign.UID, foreign.ResourceVersion = protocol.PrimeName(s.Claim), "somebody", ""
	sim.must(sim.api.Create(t.Context(), foreign))
	r := &Reconciler{Client: sim.api, Live: sim.api, Options: testOptions()}
	d, err := r.act(t.Context(), s, protocol.Decision{Action: protocol.CreatePrime})
	if err != nil || d.Reason != v1alpha1.ReasonPrimeConflict || d.Action != protocol.Wait || d.Recheck == 0 {
		t.Errorf("decision %+v, %v", d, err)
	}
}
