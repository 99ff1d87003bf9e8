// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/populator/protocol"
)

// remembering is a client whose view of one claim is older than the API server's.
func (sim *simulator) remembering(old *corev1.PersistentVolumeClaim) client.Client {
	return interceptor.NewClient(sim.ours, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
			opts ...client.GetOption,
		) error {
			if claim, ok := o.(*corev1.PersistentVolumeClaim); ok && key.Name == old.Name {
				old.DeepCopyInto(claim)
				return nil
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
}

// Somebody deletes a filled prime, and our watch of claims is behind. Its volume is being
// reclaimed: a claim that got it would lose it right away.
func TestAVolumeThatIsReclaimedIsNotHandedOver(t *testing.T) {
	for name, released := range map[string]bool{
		"before the PV controller saw it":             false,
		"after the PV controller released the volume": true,
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			for step := 0; sim.prime() == nil || !protocol.Filled(sim.prime()) || len(sim.pods()) > 0; step++ {
				if step > 100 {
					t.Fatal("the prime is never filled")
				}
				sim.must(sim.reconcile())
				sim.play()
			}
			prime := sim.prime()
			sim.must(sim.api.Delete(t.Context(), prime.DeepCopy()))
			if released {
				v := sim.volumes()[0]
				v.Status.Phase = corev1.VolumeReleased
				sim.must(sim.api.Status().Update(t.Context(), &v))
			}
			r := &Reconciler{
				Client:  sim.remembering(prime),
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
				t.Fatal("a volume that is being reclaimed was handed over")
			}
			sim.converge()
			sim.finished(corev1.PersistentVolumeReclaimDelete)
		})
	}
}

// The phase says it alone, for whoever sees the volume but cannot ask.
func TestAReleasedVolumeIsWaitedFor(t *testing.T) {
	for _, phase := range []corev1.PersistentVolumePhase{corev1.VolumeReleased, corev1.VolumeFailed} {
		s := world(withPrime)
		s.PrimeVolume = volume("pv-1", s.Prime)
		s.PrimeVolume.Status.Phase = phase
		s.Prime.Annotations["pv.kubernetes.io/bind-completed"] = "yes"
		if d := protocol.Decide(s); d.Action != protocol.Wait || d.Recheck == 0 {
			t.Errorf("%s: decided %+v", phase, d)
		}
	}
}
