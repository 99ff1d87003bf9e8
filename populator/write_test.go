// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// A mover that still runs, or of which the kubelet has not said that it ended, is never
// taken out of the API at once: the next one would write to the same volume beside it.
func TestOnlyAStoppedMoverGetsNoGrace(t *testing.T) {
	withContainer := func(change change) change {
		return func(s *state) {
			change(s)
			s.Mover.Spec.Containers = make([]corev1.Container, 1)
		}
	}
	cases := map[string]struct {
		mover  change
		atOnce bool
	}{
		"pending":                             {mover: withContainer(pendingMover)},
		"running":                             {mover: withContainer(runningMover)},
		"evicted, but not seen to end":        {mover: withContainer(evictedWithoutStatus)},
		"succeeded":                           {mover: withContainer(doneMover), atOnce: true},
		"failed":                              {mover: withContainer(userMover), atOnce: true},
		"ended, with a sidecar that does not": {mover: besideSidecar(doneMover)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got client.DeleteOptions
			recording := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
				Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, options ...client.DeleteOption) error {
					got.ApplyOptions(options)
					return nil
				},
			})
			s := world(boundPrime, c.mover)
			if _, err := (&Reconciler{Client: recording}).act(t.Context(), s, decision{Action: deleteMover}); err != nil {
				t.Fatal(err)
			}
			if atOnce := got.GracePeriodSeconds != nil && *got.GracePeriodSeconds == 0; atOnce != c.atOnce {
				t.Errorf("deleted at once: %v, want %v", atOnce, c.atOnce)
			}
			if got.Preconditions == nil || *got.Preconditions.UID != s.Mover.UID {
				t.Error("another pod of that name could be deleted in its place")
			}
		})
	}
}

func evictedWithoutStatus(s *state) {
	evictedMover(s)
	s.Mover.Status.ContainerStatuses = nil
}

func besideSidecar(mover change) change {
	return func(s *state) {
		mover(s)
		s.Mover.Spec.Containers = make([]corev1.Container, 2)
		s.Mover.Status.ContainerStatuses = append(s.Mover.Status.ContainerStatuses,
			corev1.ContainerStatus{Name: "sidecar", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	}
}
