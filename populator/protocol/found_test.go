// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

var killed = withMover(corev1.PodFailed, 137, "")

// onDevice is what a mover says of so many bytes.
func onDevice(bytes int64) *wire.Arrived {
	ranges := []wire.ArrivedRange{{Offset: 512, Length: bytes, Sum: 1}}
	return &wire.Arrived{Manifest: "sha256:x", Most: bytes, Ranges: ranges}
}

// said has the mover say so on the way.
func said(a *wire.Arrived) change {
	return func(s *State) {
		s.Mover.Annotations[v1alpha1.AnnotationProgress] = encoded(wire.Snapshot{Phase: wire.Transferring, Arrived: a})
	}
}

// TestWhatArrivedIsHandedOn: the next mover is told what the last one that knew has said.
func TestWhatArrivedIsHandedOn(t *testing.T) {
	ended := func(a *wire.Arrived) change {
		return withMover(corev1.PodFailed, 3, string(wire.Report{
			Class: wire.Retry, Reason: wire.TransferFailed, Began: true, Arrived: a,
		}.Encode()))
	}
	nothing := &wire.Arrived{Manifest: "sha256:x"}
	for name, tt := range map[string]struct {
		before *wire.Arrived
		ends   []change
		want   *wire.Arrived
	}{
		"it said so in the end":               {nil, []change{ended(onDevice(7))}, onDevice(7)},
		"the end counts more than the way":    {nil, []change{ended(onDevice(7)), said(onDevice(5))}, onDevice(7)},
		"it was killed and had said so":       {nil, []change{killed, said(onDevice(5))}, onDevice(5)},
		"it was killed and had said nothing":  {onDevice(3), []change{killed}, onDevice(3)},
		"it ended before it looked":           {onDevice(3), []change{ended(nil), said(nil)}, onDevice(3)},
		"it found none of what was told":      {onDevice(3), []change{ended(nothing)}, nothing},
		"what no mover says on the way":       {onDevice(3), []change{killed, said(onDevice(-1))}, onDevice(3)},
		"what no mover says in the end":       {onDevice(3), []change{ended(onDevice(-1))}, onDevice(3)},
		"a volume of files is not told of so": {nil, []change{ended(nil)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(append([]change{boundPrime}, tt.ends...)...)
			after := Attempts{Arrived: tt.before}.After(s.Mover, noon)
			if !reflect.DeepEqual(after.Arrived, tt.want) {
				t.Errorf("it is %+v, want %+v", after.Arrived, tt.want)
			}
			if again := after.Found(s.Mover); !again.same(after) {
				t.Errorf("told once more it is another: %+v, was %+v", again, after)
			}
			s.Prime.Annotations = map[string]string{v1alpha1.AnnotationAttempts: encoded(after)}
			s.Mover, s.Claim.Spec.VolumeMode = nil, new(corev1.PersistentVolumeBlock)
			pod, err := Mover(s, MoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			request, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
			if err != nil || !reflect.DeepEqual(request.Volume.Arrived, tt.want) {
				t.Errorf("the next mover is told %+v, want %+v (%v)", request.Volume.Arrived, tt.want, err)
			}
		})
	}
}

// TestADamagedRecordOfWhatArrivedIsNone, and the rest of the record counts.
func TestADamagedRecordOfWhatArrivedIsNone(t *testing.T) {
	prime := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		v1alpha1.AnnotationAttempts: `{"movers":4,"arrived":{"manifest":"` + strings.Repeat("x", 200) + `"}}`,
	}}}
	if a := ReadAttempts(prime); a.Arrived != nil || a.Movers != 4 {
		t.Errorf("it is read as %+v", a)
	}
}

// TestWhatArrivesMeanwhileHoldsNothingUp: a mover that is to end tells more every few seconds. What it has told last is
// recorded once it has ended.
func TestWhatArrivesMeanwhileHoldsNothingUp(t *testing.T) {
	recorded := func(s *State) {
		boundPrime(s)
		first := *s
		runningMover(&first)
		said(onDevice(5))(&first)
		s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{}.Superseded(first.Mover, noon))
	}
	for name, tt := range map[string]struct {
		in   State
		want Action
	}{
		"it runs":                  {world(recorded, otherSpec, runningMover, said(onDevice(7))), DeleteMover},
		"it is told to end":        {world(recorded, otherSpec, runningMover, said(onDevice(7)), toldToEnd), Wait},
		"it has ended":             {world(recorded, otherSpec, killed, said(onDevice(7))), RecordFound},
		"it was told to, and has":  {world(recorded, otherSpec, killed, said(onDevice(7)), toldToEnd), RecordFound},
		"it vanished while it ran": {world(recorded, otherSpec, runningMover, said(onDevice(7)), thenVanished), RecordFound},
		"it had said no more":      {world(recorded, otherSpec, killed, said(onDevice(5))), DeleteMover},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Decide(tt.in).Action; got != tt.want {
				t.Errorf("decided %s, want %s", got, tt.want)
			}
		})
	}
}

// TestWhatIsRecordedIsNotFoundAgain, whoever has written what the pod says: nothing would follow.
func TestWhatIsRecordedIsNotFoundAgain(t *testing.T) {
	for name, arrived := range map[string]string{
		"of a mover":         encoded(onDevice(5)),
		"a list of no range": `{"manifest":"sha256:x","ranges":[]}`,
		"no list":            `{"manifest":"sha256:x","ranges":null}`,
		"odd characters":     `{"manifest":"<\u2028\ud800\u0000"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := world(boundPrime, killed)
			s.Mover.Annotations[v1alpha1.AnnotationProgress] = `{"phase":"Transferring","arrived":` + arrived + `}`
			after := Attempts{}.After(s.Mover, noon)
			if after.Arrived == nil {
				t.Fatal("it is not taken for what a mover may say")
			}
			s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(after)
			if foundSince(s) {
				t.Errorf("what was recorded is found once more: %+v, was %+v", after, ReadAttempts(s.Prime))
			}
		})
	}
}

// TestProgressThatIsToldLate: an eviction is recorded before the mover can report. However many there are, what gets
// further each time goes on.
func TestProgressThatIsToldLate(t *testing.T) {
	evicted := world(boundPrime, runningMover, toldToEnd)
	past := Attempts{Hash: baseHash(), Pod: PodHash(evicted.Source), Failures: 2, Disruptions: disruptionLimit}
	recorded := past.After(evicted.Mover, noon)
	if recorded.Disruptions != disruptionLimit+1 || !recorded.exhausted(6) {
		t.Fatalf("recorded is %+v", recorded)
	}
	for name, tt := range map[string]struct {
		progressed bool
		of         string
		want       Action
		left       int
	}{
		"it got further":      {true, recorded.Mover, RecordFound, 0},
		"it got no further":   {false, recorded.Mover, Wait, disruptionLimit + 1},
		"of an earlier mover": {true, "another", RecordFailure, 0},
	} {
		t.Run(name, func(t *testing.T) {
			report := wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: "SIGTERM", Progressed: tt.progressed}
			s := world(boundPrime, withMover(corev1.PodFailed, 3, string(report.Encode())), onNode, tainted, toldToEnd)
			was := recorded
			was.Mover = tt.of
			s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(was)
			if got := Decide(s).Action; got != tt.want {
				t.Errorf("decided %s, want %s", got, tt.want)
			}
			if tt.want == RecordFailure {
				was = was.After(s.Mover, noon)
			} else {
				was = was.Found(s.Mover)
			}
			if was.Disruptions != tt.left || was.exhausted(6) != (tt.left > 0) {
				t.Errorf("left are %+v", was)
			}
		})
	}
}

// TestACompleteMoverIsNoProgress: one that was complete, and is not taken for that, counts as it did.
func TestACompleteMoverIsNoProgress(t *testing.T) {
	done := wire.Report{Class: wire.Done, Progressed: true}
	s := world(boundPrime, withMover(corev1.PodSucceeded, 0, string(done.Encode())))
	past := Attempts{Mover: string(s.Mover.UID), Failures: 2, Disruptions: 3}
	if after := past.Found(s.Mover); after.Failures != 2 || after.Disruptions != 3 {
		t.Errorf("it counts as %+v", after)
	}
}
