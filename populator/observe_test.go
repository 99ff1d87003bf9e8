// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// The watches of claims and of volumes are not in step: a claim may be seen bound before its
// volume is seen rebound. That is no foreign volume.
func TestAnOldViewOfTheVolumeIsNotBelieved(t *testing.T) {
	bound := world(withPrime, boundToOurs)
	cached, live := newSimulator(t), newSimulator(t)
	old := bound.ClaimVolume.DeepCopy()
	delete(old.Annotations, v1alpha1.AnnotationPopulatedFor)
	for sim, v := range map[*simulator]client.Object{cached: old, live: bound.ClaimVolume.DeepCopy()} {
		v.SetResourceVersion("")
		sim.must(sim.api.Create(t.Context(), v))
	}
	o := testOptions()
	r := &Reconciler{Client: cached.ours, Live: live.ours, Options: o}
	s, err := r.observe(t.Context(), bound.Claim)
	if err != nil {
		t.Fatal(err)
	}
	if d := protocol.Decide(s); d.Reason != v1alpha1.ReasonPopulated {
		t.Errorf("decided %+v", d)
	}
}

// A volume that changes hands is seen free for a moment when its claim is seen bound already.
func TestAnOldViewOfThePrimesVolumeIsNotBelieved(t *testing.T) {
	s := world(withPrime)
	cached, live := newSimulator(t), newSimulator(t)
	now := volume("pv-1", s.Prime)
	old := now.DeepCopy()
	old.Spec.ClaimRef = nil
	for sim, v := range map[*simulator]client.Object{cached: old, live: now} {
		sim.must(sim.api.Create(t.Context(), v))
	}
	prime := s.Prime.DeepCopy()
	prime.ResourceVersion = ""
	prime.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	prime.Status.Phase = corev1.ClaimBound
	cached.must(cached.api.Create(t.Context(), prime))
	r := &Reconciler{Client: cached.ours, Live: live.ours, Options: testOptions()}
	seen, err := r.observe(t.Context(), s.Claim)
	if err != nil {
		t.Fatal(err)
	}
	if d := protocol.Decide(seen); d.Reason == v1alpha1.ReasonRebindBlocked {
		t.Errorf("decided %+v", d)
	}
}

// silentServer is an API server that nobody should have to ask.
type silentServer struct {
	client.Reader
	t *testing.T
}

func (s silentServer) Get(_ context.Context, k client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.t.Errorf("the API server was asked for %T %s", o, k.Name)
	return nil
}

// From the rebind until the prime is gone its volume refers to the claim. Every pass sees that,
// and none has to ask whether it is true.
func TestAReboundVolumeIsNotAskedFor(t *testing.T) {
	s := world(withPrime)
	cached := newSimulator(t)
	rebound := volume("pv-1", s.Claim)
	rebound.Annotations[v1alpha1.AnnotationPopulatedFor] = claimUID
	prime := s.Prime.DeepCopy()
	prime.ResourceVersion = ""
	prime.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	for _, o := range []client.Object{rebound, prime} {
		cached.must(cached.api.Create(t.Context(), o))
	}
	r := &Reconciler{Client: cached.ours, Live: silentServer{t: t}, Options: testOptions()}
	seen, err := r.observe(t.Context(), s.Claim)
	if err != nil {
		t.Fatal(err)
	}
	if seen.PrimeVolume == nil || seen.PrimeVolume.Name != "pv-1" {
		t.Errorf("the prime's volume is %v", seen.PrimeVolume)
	}
}
