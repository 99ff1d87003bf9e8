// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

// A mover that still runs, or of which the kubelet has not said that it ended, is never
// taken out of the API at once: the next one would write to the same volume beside it.
func TestOnlyAStoppedMoverGetsNoGrace(t *testing.T) {
	sidecar := corev1.ContainerStatus{
		Name:  "sidecar",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}
	running := corev1.ContainerStatus{Name: moverpod.ContainerName, State: sidecar.State}
	cases := map[string]struct {
		mover  change
		atOnce bool
	}{
		"pending":                             {mover: moverIn(corev1.PodPending)},
		"running":                             {mover: moverIn(corev1.PodRunning, running)},
		"evicted, but not seen to end":        {mover: moverIn(corev1.PodFailed)},
		"succeeded":                           {mover: moverIn(corev1.PodSucceeded, ended(0)), atOnce: true},
		"failed":                              {mover: moverIn(corev1.PodFailed, ended(2)), atOnce: true},
		"ended, with a sidecar that does not": {mover: moverIn(corev1.PodRunning, ended(0), sidecar)},
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
			s := world(c.mover)
			if _, err := (&Reconciler{Client: recording}).act(t.Context(), s,
				protocol.Decision{Action: protocol.DeleteMover}); err != nil {
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
