// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// An import that could be made proves that there never was a prime; one that is there, or is
// refused, costs a look at all volumes and holds nothing up.
func TestTheImportProvesThatThereNeverWasAPrime(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "s3imports"}, "data", errors.New("exceeded quota"))
	cases := map[string]struct {
		refuse   error
		before   func(*simulator, protocol.State)
		lists    int
		promised bool
		gone     bool // the claim, while volumes are listed
	}{
		"a first prime": {},
		"an import that is there": {before: func(sim *simulator, s protocol.State) {
			sim.must(sim.api.Create(sim.t.Context(), protocol.ImportFor(s.Claim)))
		}, lists: 1},
		"a refused import":                  {refuse: forbidden, lists: 1},
		"a refused import after the rebind": {refuse: forbidden, lists: 1, promised: true},
		"a claim that goes meanwhile":       {refuse: forbidden, lists: 1, gone: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			s := world()
			if c.before != nil {
				c.before(sim, s)
			}
			if c.promised {
				v := volume("pv-1", s.Claim)
				sim.must(sim.api.Create(t.Context(), v))
			}
			lists := 0
			counted := interceptor.NewClient(sim.api, interceptor.Funcs{
				Create: func(ctx context.Context, to client.WithWatch, o client.Object, opts ...client.CreateOption) error {
					if _, ok := o.(*v1alpha1.S3Import); ok && c.refuse != nil {
						return c.refuse
					}
					return to.Create(ctx, o, opts...)
				},
				List: func(ctx context.Context, from client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
					if _, ok := l.(*corev1.PersistentVolumeList); ok {
						lists++
						if c.gone {
							sim.must(sim.api.Delete(ctx, s.Claim.DeepCopy()))
						}
					}
					return from.List(ctx, l, opts...)
				},
			})
			r := &Reconciler{Client: counted, Live: counted, Options: testOptions()}
			_, err := r.act(t.Context(), s, protocol.Decision{Action: protocol.CreatePrime})
			refused := c.promised || c.gone
			if refused != errors.Is(err, errStale) || !refused && err != nil {
				t.Fatal(err)
			}
			if lists != c.lists {
				t.Errorf("%d lists of all volumes, want %d", lists, c.lists)
			}
			if _, made := sim.primeOf(s.Claim); made == refused {
				t.Errorf("a prime was made: %v", made)
			}
		})
	}
}

func (sim *simulator) primeOf(claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolumeClaim, bool) {
	p := &corev1.PersistentVolumeClaim{}
	err := sim.api.Get(sim.t.Context(), client.ObjectKey{Namespace: claim.Namespace, Name: protocol.PrimeName(claim)}, p)
	return p, err == nil
}

// emptyPrime is bound to pv-1, which a mover may fill.
func emptyPrime(t *testing.T, sim *simulator) protocol.State {
	t.Helper()
	s := world(withPrime)
	delete(s.Prime.Annotations, v1alpha1.AnnotationPopulated)
	s.PrimeVolume = volume("pv-1", s.Prime)
	s.PrimeVolume.Annotations[v1alpha1.AnnotationScratchFor] = claimUID
	s.PrimeVolume.Annotations[v1alpha1.AnnotationAttachedByConsumer] = "a"
	for _, o := range []client.Object{s.Prime, s.PrimeVolume} {
		sim.must(sim.api.Create(t.Context(), o))
	}
	return s
}

// From the first mover on, an attachment to the consumer's node may be the mover's.
func TestTheFirstMoverEndsWhatTheConsumerExcused(t *testing.T) {
	sim := newSimulator(t)
	s := emptyPrime(t, sim)
	attachment := &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: "csi-a"},
		Spec: storagev1.VolumeAttachmentSpec{
			NodeName: "a", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &s.PrimeVolume.Name},
		},
	}
	sim.must(sim.api.Create(t.Context(), attachment))
	r := &Reconciler{Client: sim.api, Live: sim.api, Options: testOptions()}
	if err := r.observeAttachments(t.Context(), &s); err != nil || len(s.Attachments) != 1 {
		t.Fatalf("%d attachments are seen, %v", len(s.Attachments), err)
	}
	if _, err := r.act(t.Context(), s, protocol.Decision{Action: protocol.StartMover}); err != nil {
		t.Fatal(err)
	}
	v := &corev1.PersistentVolume{}
	sim.must(sim.api.Get(t.Context(), client.ObjectKey{Name: "pv-1"}, v))
	if _, ok := v.Annotations[v1alpha1.AnnotationAttachedByConsumer]; ok || len(sim.pods()) != 1 {
		t.Errorf("%d movers, and the volume still excuses the attachment: %v", len(sim.pods()), ok)
	}
}

// A prime that has another volume by now than the one that was checked gets no mover.
func TestNoMoverForAVolumeThatWasNotChecked(t *testing.T) {
	sim := newSimulator(t)
	s := emptyPrime(t, sim)
	s.PrimeVolume.Name = "pv-0"
	r := &Reconciler{Client: sim.api, Live: sim.api, Options: testOptions()}
	if _, err := r.act(t.Context(), s, protocol.Decision{Action: protocol.StartMover}); !errors.Is(err, errStale) {
		t.Errorf("error %v", err)
	}
	if len(sim.pods()) > 0 {
		t.Error("a mover was made")
	}
}

// A volume is freed only when the API server says that its prime is gone; our cache may not
// have it yet.
func TestAVolumeIsNotFreedUnderALivePrime(t *testing.T) {
	for name, lives := range map[string]bool{"a prime that lives": true, "another prime of that name": false} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			s := world(withPrime)
			v := volume("pv-1", s.Prime)
			v.Annotations[v1alpha1.AnnotationReleasing] = claimUID
			if !lives {
				s.Prime.UID = "another"
			}
			sim.must(sim.api.Create(t.Context(), s.Prime))
			sim.must(sim.api.Create(t.Context(), v))
			cache := interceptor.NewClient(sim.api, interceptor.Funcs{
				Get: func(
					ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
				) error {
					if _, ok := o.(*corev1.PersistentVolumeClaim); ok {
						return apierrors.NewNotFound(schema.GroupResource{Resource: "persistentvolumeclaims"}, key.Name)
					}
					return c.Get(ctx, key, o, opts...)
				},
			})
			r := &VolumeReconciler{Client: cache, Live: sim.api, Events: events.NewFakeRecorder(1)}
			_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v)})
			sim.must(err)
			sim.must(sim.api.Get(t.Context(), client.ObjectKeyFromObject(v), v))
			if freed := v.Spec.ClaimRef == nil; freed == lives {
				t.Errorf("freed: %v", freed)
			}
		})
	}
}
