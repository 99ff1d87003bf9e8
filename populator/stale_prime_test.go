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

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// A prime is given a free volume of somebody while its claim is deleted. Our view of the prime,
// or of the volume, is from before that: the prime must not go before the volume is safe.
func TestNoPrimeGoesWithAVolumeThatWasNotSeen(t *testing.T) {
	for name, behind := range map[string]func(client.Object) bool{
		"the view of the prime is old":  func(o client.Object) bool { _, ok := o.(*corev1.PersistentVolumeClaim); return ok },
		"the view of the volume is old": func(o client.Object) bool { _, ok := o.(*corev1.PersistentVolume); return ok },
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			sim.full = true
			for range 4 {
				sim.must(sim.reconcile())
			}
			if sim.prime() == nil {
				t.Fatal("there is no prime")
			}
			sim.withOldVolume(
				corev1.PersistentVolumeReclaimDelete,
				map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
			)
			claim := &corev1.PersistentVolumeClaim{}
			sim.must(sim.api.Get(t.Context(), claimKey, claim))
			claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
			sim.must(sim.api.Update(t.Context(), claim))
			sim.must(sim.api.Delete(t.Context(), claim))
			before := map[string]client.Object{sim.prime().Name: sim.prime(), oldVolume: &sim.volumes()[0]}
			for sim.capture() || sim.bind() {
			}
			old := interceptor.NewClient(sim.ours, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
					opts ...client.GetOption,
				) error {
					was, known := before[key.Name]
					if !known || !behind(o) {
						return c.Get(ctx, key, o, opts...)
					}
					switch o := o.(type) {
					case *corev1.PersistentVolumeClaim:
						was.(*corev1.PersistentVolumeClaim).DeepCopyInto(o)
					case *corev1.PersistentVolume:
						was.(*corev1.PersistentVolume).DeepCopyInto(o)
					}
					return nil
				},
			})
			r := &Reconciler{Client: old, Live: sim.ours, Events: events.NewFakeRecorder(100), Options: testOptions()}
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey}); err != nil {
				t.Fatal(err)
			}
			v := sim.volumes()[0]
			if sim.prime() == nil && v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
				t.Error("the prime went, and somebody's volume goes with it")
			}
			if !protocol.RefersTo(&v, sim.primeOrFail()) {
				t.Fatalf("the volume was not given to the prime: %+v", v.Spec.ClaimRef)
			}
		})
	}
}

func (sim *simulator) primeOrFail() *corev1.PersistentVolumeClaim {
	sim.t.Helper()
	prime := sim.prime()
	if prime == nil {
		sim.t.Fatal("the prime is gone")
	}
	return prime
}
