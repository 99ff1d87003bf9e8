// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

var fullReport = wire.Report{Class: wire.User, Reason: wire.VolumeNotEmpty, Message: "It holds photos/cat.jpg."}

// heldSomething is a prime whose first mover found files on the volume.
func heldSomething(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Failures: 1, Movers: 1, Held: true, Mover: moverUID, At: noon.Add(-time.Hour), Terminal: true,
		Reason: fullReport.Reason, Message: fullReport.Message,
	})
}

var (
	refusedMover = withMover(corev1.PodFailed, 2, string(fullReport.Encode()))
	// unprovenMover looked at the volume, and could not ask S3 whether what it holds is ours.
	unprovenMover = withMover(corev1.PodFailed, 4, string(wire.Report{Class: wire.RetryUncounted, Reason: wire.EndpointUnreachable, Message: "No answer.", Held: true}.Encode()))
	kept          = onVolume(func(v *corev1.PersistentVolume) {
		v.Annotations[v1alpha1.AnnotationReclaimPolicy] = string(v.Spec.PersistentVolumeReclaimPolicy)
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		delete(v.Annotations, v1alpha1.AnnotationScratchFor)
	})
	// laterFailure is recorded after the retry token changed: that mover never came to look.
	laterFailure = func(s *State) {
		past := ReadAttempts(s.Prime)
		s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(past.After(world(retryMover).Mover, noon))
	}
	// afterBeginning: a mover of this claim wrote to the volume before, so what is on it is ours.
	afterBeginning = func(s *State) {
		var past Attempts
		if err := json.Unmarshal([]byte(s.Prime.Annotations[v1alpha1.AnnotationAttempts]), &past); err != nil {
			panic(err)
		}
		past.Began = true
		s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(past)
	}
)

func TestDecideOfAVolumeThatHeldSomething(t *testing.T) {
	cases := map[string]struct {
		in   State
		want Action
	}{
		"the refusal is recorded first":                      {world(boundPrime, refusedMover), RecordFailure},
		"then the volume is protected":                       {world(heldSomething, refusedMover), KeepVolume},
		"then nothing is done":                               {world(heldSomething, kept, refusedMover), Wait},
		"a new request ends the refused mover":               {world(heldSomething, kept, otherSpec, refusedMover), MarkScratch},
		"a new request tries the volume again":               {world(heldSomething, kept, otherSpec), MarkScratch},
		"a deleted claim keeps it":                           {world(heldSomething, deleting), KeepVolume},
		"a deleted claim leaves one that is kept":            {world(heldSomething, kept, deleting), DeletePrime},
		"before its refusal is recorded too":                 {world(boundPrime, refusedMover, deleting), KeepVolume},
		"a later mover that did not look changes nothing":    {world(heldSomething, laterFailure, deleting), KeepVolume},
		"nor does one that could not prove what it found":    {world(boundPrime, unprovenMover, deleting), KeepVolume},
		"a volume that we began to fill goes with its prime": {world(heldSomething, afterBeginning, deleting), DeletePrime},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Decide(c.in).Action; got != c.want {
				t.Errorf("decided %s, want %s", got, c.want)
			}
		})
	}
}

// The policy that a volume was found with outlives every patch on the way.
func TestAKeptVolumeGetsItsOwnPolicyBack(t *testing.T) {
	s := world(heldSomething, kept)
	if got := ownPolicy(s.PrimeVolume); got != "Delete" {
		t.Errorf("own policy is %s after it was kept", got)
	}
	patches := map[string]func() ([]byte, error){
		"kept again":  func() ([]byte, error) { return KeepPatch(s.PrimeVolume) },
		"tried again": func() ([]byte, error) { return ScratchPatch(s) },
		"given back":  func() ([]byte, error) { return ReleasePatch(s.PrimeVolume, s.Claim) },
	}
	for name, patch := range patches {
		raw, err := patch()
		if err != nil {
			t.Fatal(err)
		}
		var v corev1.PersistentVolume
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("Delete", v.Annotations[v1alpha1.AnnotationReclaimPolicy]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
