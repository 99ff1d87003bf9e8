// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

var fullReport = wire.Report{Class: wire.User, Reason: wire.VolumeNotEmpty, Message: "It holds photos/cat.jpg."}

// heldSomething is a prime whose first mover found files on the volume.
func heldSomething(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Failures: 1, Movers: 1, Held: true, Mover: moverUID, At: noon.Add(-time.Hour),
		Terminal: true,
		Reason:   fullReport.Reason, Message: fullReport.Message,
	})
}

var (
	refusedMover = withMover(corev1.PodFailed, 2, string(fullReport.Encode()))
	// unprovenMover looked at the volume, and could not ask S3 whether what it holds is ours.
	unprovenMover = withMover(
		corev1.PodFailed,
		4,
		string(
			wire.Report{
				Class:   wire.RetryUncounted,
				Reason:  wire.EndpointUnreachable,
				Message: "No answer.",
				Held:    true,
			}.Encode(),
		),
	)
	kept = onVolume(func(v *corev1.PersistentVolume) {
		v.Annotations[v1alpha1.AnnotationReclaimPolicy] = string(v.Spec.PersistentVolumeReclaimPolicy)
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		delete(v.Annotations, v1alpha1.AnnotationScratchFor)
	})
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

// completedUnheard is a prime whose volume a mover completed that was not heard of; the next one refused it.
func completedUnheard(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Failures: 1, Movers: 2, Began: true, Mover: moverUID, At: noon,
		Terminal: true, Reason: wire.VolumeNotEmpty, Message: "It holds c.",
	})
}

// sharedVolume is a prime whose mover wrote to a volume on which the next one found another claim's journal.
func sharedVolume(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Failures: 1, Movers: 2, Began: true, Shared: true, Mover: moverUID, At: noon,
		Terminal: true, Reason: wire.VolumeNotEmpty, Message: "It carries the journal of another claim.",
	})
}

// fencedByAnother is a mover that wrote, and whose journal is gone.
var fencedByAnother = withMover(corev1.PodFailed, 3, string(wire.Report{
	Class: wire.Retry, Reason: wire.Fenced, Message: "The journal is gone.", Began: true, Shared: true,
}.Encode()))

// thenUnreachable had a second mover, for the same request, which did not come to look.
func thenUnreachable(s *State) {
	second := *s
	withMover(corev1.PodFailed, 3,
		string(wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "No luck."}.Encode()))(&second)
	second.Mover.UID = "second"
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(
		ReadAttempts(s.Prime).After(second.Mover, noon.Add(-time.Hour)),
	)
}

// heldThenEdited had its source changed before the refusal of its mover was recorded.
func heldThenEdited(s *State) {
	boundPrime(s)
	first := *s
	refusedMover(&first)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{}.Superseded(first.Mover, noon))
}

// editedBeforeTheEnd had its source changed while its mover listed.
func editedBeforeTheEnd(s *State) {
	boundPrime(s)
	first := *s
	runningMover(&first)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{}.Superseded(first.Mover, noon))
}

// thenVanished: somebody deletes the pod by force, and what was last seen of it is all that is known.
func thenVanished(s *State) { s.Vanished, s.Mover = s.Mover, nil }

// toldToEnd has its mover deleted, which is still there.
func toldToEnd(s *State) { s.Mover.DeletionTimestamp = new(metav1.NewTime(noon)) }

func TestDecideOfAVolumeThatHeldSomething(t *testing.T) {
	cases := map[string]struct {
		in   State
		want Action
	}{
		"the volume is protected first":                  {world(boundPrime, refusedMover), KeepVolume},
		"then the refusal is recorded":                   {world(boundPrime, kept, refusedMover), RecordFailure},
		"a refusal that was recorded first protects too": {world(heldSomething, refusedMover), KeepVolume},
		"then nothing is done":                           {world(heldSomething, kept, refusedMover), Wait},
		"a new request ends the refused mover": {
			world(heldSomething, kept, otherSpec, refusedMover),
			DeleteMover,
		},
		"a new request tries the volume again, which stays kept": {world(heldSomething, kept, otherSpec), StartMover},
		"a retry token too": {world(heldSomething, kept, retried), StartMover},
		"another failure of the next mover changes nothing": {world(heldSomething, thenUnreachable), KeepVolume},
		"it is tried again": {world(heldSomething, thenUnreachable, kept), StartMover},
		"its claim is deleted then": {
			world(heldSomething, thenUnreachable, deleting),
			KeepVolume,
		},
		"one that is to be deleted again is protected again": {
			world(heldSomething, kept, onVolume(func(v *corev1.PersistentVolume) {
				v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
			}), refusedMover),
			KeepVolume,
		},
		"an edit while the refusal was not recorded keeps it": {world(heldThenEdited, deleting), KeepVolume},
		"a deleted claim keeps it":                            {world(heldSomething, deleting), KeepVolume},
		"a deleted claim leaves one that is kept":             {world(heldSomething, kept, deleting), DeletePrime},
		"before its refusal is recorded too":                  {world(boundPrime, refusedMover, deleting), KeepVolume},
		"only then its mover goes": {
			world(boundPrime, kept, refusedMover, deleting),
			DeleteMover,
		},
		"a mover that could not prove what it found protects too": {world(boundPrime, unprovenMover), KeepVolume},
		"also when its claim is deleted":                          {world(boundPrime, unprovenMover, deleting), KeepVolume},
		"a volume that we began to fill is marked again": {
			world(heldSomething, kept, afterBeginning, retried),
			MarkScratch,
		},
		"one that we began to fill and that is refused loses its mover": {
			world(completedUnheard, refusedMover), DeleteMover,
		},
		"then it is replaced": {world(completedUnheard), ReplacePrime},
		"its request has changed since, so that it is tried again": {world(completedUnheard, otherSpec), StartMover},
		"its source is gone": {world(completedUnheard, noSource), Wait},
		"its claim goes":     {world(completedUnheard, deleting), DeletePrime},
		"a mover that was recorded as edited, and has completed the volume since": {
			world(editedBeforeTheEnd, otherSpec, doneMover), RecordFound,
		},
		"then it is deleted": {
			world(editedBeforeTheEnd, afterBeginning, otherSpec, doneMover), DeleteMover,
		},
		"one that is told to end, and has completed the volume": {
			world(editedBeforeTheEnd, otherSpec, doneMover, toldToEnd), RecordFound,
		},
		"one that is told to end, and has found something": {
			world(editedBeforeTheEnd, otherSpec, kept, unprovenMover, toldToEnd), RecordFound,
		},
		"one that is told to end, and has said nothing yet": {
			world(editedBeforeTheEnd, otherSpec, runningMover, toldToEnd), Wait,
		},
		"a mover found something, and vanished": {world(boundPrime, refusedMover, thenVanished), KeepVolume},
		"then that is recorded":                 {world(boundPrime, kept, refusedMover, thenVanished), RecordFailure},
		"a mover found something, and vanished with its claim": {
			world(boundPrime, refusedMover, thenVanished, deleting), KeepVolume,
		},
		"a mover lost its journal, and vanished with its claim": {
			world(boundPrime, fencedByAnother, thenVanished, deleting), KeepVolume,
		},
		"one of an earlier prime tells nothing of this volume": {
			world(boundPrime, refusedMover, thenVanished, deleting, func(s *State) {
				s.Vanished.Annotations[v1alpha1.AnnotationPrimeUID] = "earlier-uid"
			}), DeletePrime,
		},
		"one that was recorded as edited, has found something since, and vanished": {
			world(editedBeforeTheEnd, otherSpec, kept, unprovenMover, thenVanished), RecordFound,
		},
		"one that was recorded as edited, has lost its journal since, and vanished": {
			world(editedBeforeTheEnd, otherSpec, kept, fencedByAnother, thenVanished), RecordFound,
		},
		"one that was recorded as edited, and vanished before it said more": {
			world(editedBeforeTheEnd, otherSpec, runningMover, thenVanished), StartMover,
		},
		"a volume that another claim has too is protected": {world(sharedVolume), KeepVolume},
		"then it stays as it is":                           {world(sharedVolume, kept), Wait},
		"it outlives its claim":                            {world(sharedVolume, deleting), KeepVolume},
		"it is tried again for a retry token":              {world(sharedVolume, kept, retried), StartMover},
		"a mover that lost its journal protects too":       {world(boundPrime, fencedByAnother), KeepVolume},
		"also one that was not the first": {
			world(heldSomething, afterBeginning, fencedByAnother), KeepVolume,
		},
		"a volume that we began to fill goes with its prime": {
			world(heldSomething, afterBeginning, deleting),
			DeletePrime,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Decide(c.in).Action; got != c.want {
				t.Errorf("decided %s, want %s", got, c.want)
			}
		})
	}
}

// TestWhetherAnotherClaimHasTheVolumeIsRemembered until a mover finds it to be ours.
func TestWhetherAnotherClaimHasTheVolumeIsRemembered(t *testing.T) {
	ends := func(r wire.Report) *corev1.Pod {
		s := world(boundPrime, withMover(corev1.PodFailed, int32(r.Class.ExitCode()), string(r.Encode())))
		return s.Mover
	}
	fenced := ends(wire.Report{Class: wire.Retry, Reason: wire.Fenced, Began: true, Shared: true})
	a := Attempts{}.After(fenced, noon)
	if !a.Began || !a.Shared {
		t.Errorf("after a mover that lost its journal: %+v", a)
	}
	if a = a.After(ends(wire.Report{Class: wire.User, Reason: wire.VolumeNotEmpty, Held: true}), noon); !a.Shared {
		t.Errorf("after one that was refused: %+v", a)
	}
	if a = a.After(ends(wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Began: true}), noon); a.Shared {
		t.Errorf("after one that found the volume to be ours: %+v", a)
	}
}

// The policy that a volume was found with outlives every patch on the way.
func TestAKeptVolumeGetsItsOwnPolicyBack(t *testing.T) {
	s := world(heldSomething, kept)
	if got := ownPolicy(s.PrimeVolume); got != "Delete" {
		t.Errorf("own policy is %s after it was kept", got)
	}
	if got := ownPolicy(world(boundPrime, retainedByHand).PrimeVolume); got != "Retain" {
		t.Errorf("own policy is %s after an administrator set Retain", got)
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
