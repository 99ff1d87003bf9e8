// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// What outlived a prime is reported; what our record or a provisioner ends is not.
func TestOrphanedVolumes(t *testing.T) {
	cases := map[string]struct {
		change change
		want   VolumeStep
	}{
		"without a record":      {func(s *State) { unmarked(s); retained(s) }, ReportOrphan},
		"marked, then retained": {retained, ReportOrphan},
		"a provisioner's":       {nothing, NoStep},
		"handed over": {
			func(s *State) { retained(s); s.PrimeVolume.Annotations[v1alpha1.AnnotationPopulatedFor] = claimUID },
			NoStep,
		},
		"of another claim": {func(s *State) { retained(s); s.PrimeVolume.Spec.ClaimRef.Name = "data" }, NoStep},
		"under way":        {func(s *State) { retained(s); s.PrimeVolume.Status.Phase = corev1.VolumeBound }, NoStep},
		"being deleted": {
			func(s *State) { retained(s); s.PrimeVolume.DeletionTimestamp = new(metav1.NewTime(noon)) },
			NoStep,
		},
		"released, taken by another": {func(s *State) {
			releasing(s)
			s.PrimeVolume.Spec.ClaimRef.Name, s.PrimeVolume.Status.Phase = "data", corev1.VolumeBound
		}, RestorePolicy},
		"released, and lost by another": {func(s *State) { releasing(s); s.PrimeVolume.Spec.ClaimRef.Name = "data" }, NoStep},
		"released, lost by another, and never deleted": {func(s *State) {
			releasing(s)
			s.PrimeVolume.Spec.ClaimRef.Name = "data"
			s.PrimeVolume.Annotations[v1alpha1.AnnotationReclaimPolicy] = string(corev1.PersistentVolumeReclaimRetain)
		}, RestorePolicy},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := world(boundPrime)
			s.PrimeVolume.Status.Phase = corev1.VolumeReleased
			c.change(&s)
			if got := StepOf(s.PrimeVolume); got != c.want {
				t.Errorf("step %q, want %q", got, c.want)
			}
		})
	}
}

// The back-off of a class whose free volumes are handed out has an upper bound.
func TestNextPrimeBacksOff(t *testing.T) {
	cases := map[string]struct {
		in   State
		want NextPrime
	}{
		"the first of a class that binds at once": {
			world(boundPrime, releasing),
			NextPrime{Count: 1, After: noon.Add(10 * time.Second)},
		},
		"the first of a class that waits": {
			world(immediately, boundPrime, releasing, readyConsumer),
			NextPrime{Count: 1, Node: "a"},
		},
		"the second of a class that waits": {
			world(
				immediately,
				boundPrime,
				releasing,
				readyConsumer,
				remembered(NextPrime{Count: 1, Bytes: 7}),
			), NextPrime{Count: 2, Node: "a", Bytes: 7, After: noon.Add(20 * time.Second)},
		},
		"the hundredth": {
			world(boundPrime, releasing, remembered(NextPrime{Count: 99})),
			NextPrime{Count: 100, After: noon.Add(5 * time.Minute)},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Prime, c.want.Volume = primeUID, "pv-1"
			got := NextAfterCapture(c.in)
			got.Claim = ""
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The attachment that a volume has when it is first marked is the consumer's, and no later one.
func TestOnlyTheFirstMarkKnowsTheConsumer(t *testing.T) {
	cases := map[string]struct {
		in   State
		want string
	}{
		"first mark":                 {world(immediately, boundPrime, unmarked, attachedTo("a", 0)), "a"},
		"a class that binds at once": {world(boundPrime, unmarked, attachedTo("a", 0)), ""},
		"marked again":               {world(immediately, boundPrime, retained, attachedTo("a", 0)), ""},
		"after a failure":            {world(immediately, failedBefore(false, noon), unmarked, attachedTo("a", 0)), ""},
		"not attached":               {world(immediately, boundPrime, unmarked), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := consumerNode(c.in); got != c.want {
				t.Errorf("node %q, want %q", got, c.want)
			}
		})
	}
}
