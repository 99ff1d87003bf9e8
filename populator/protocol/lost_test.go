// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

func onMover(f func(*corev1.Pod)) change {
	return func(s *State) {
		if s.Mover != nil {
			f(s.Mover)
		}
	}
}

func podConditions(all ...corev1.PodCondition) change {
	return onMover(func(p *corev1.Pod) { p.Status.Conditions = append(p.Status.Conditions, all...) })
}

// due is a mover whose grace period ended a while ago.
func due(ago time.Duration) change {
	return onMover(func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(noon.Add(-ago))) })
}

var (
	onNode = onMover(func(p *corev1.Pod) { p.Spec.NodeName = "worker-7" })
	// silentNode is what the node lifecycle controller leaves of a healthy pod's conditions.
	silentNode = podConditions(
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse},
		corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
	)
	notReady = podConditions(
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady"},
		corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady"},
	)
	readinessGate = podConditions(
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady"},
		corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
	)
	tainted = podConditions(corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager",
		Message: "Taint manager: deleting due to NoExecute taint",
	})
	stoppedMover = withMover(
		corev1.PodFailed,
		3,
		string(wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: "The mover was stopped."}.Encode()),
	)
	vanished = func(s *State) {
		runningMover(s)
		s.Vanished, s.Mover = s.Mover, nil
	}
	recorded = func(s *State) {
		s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(
			Attempts{
				Hash:        baseHash(),
				Pod:         PodHash(s.Source),
				Disruptions: 1,
				Mover:       moverUID,
				At:          noon,
				Reason:      wire.Interrupted,
				Message:     "Evicted.",
			},
		)
	}
	finalizer = onMover(func(p *corev1.Pod) {
		p.Finalizers = []string{"example.com/audit"}
		p.Spec.Containers = make([]corev1.Container, 1)
	})
)

// noRetries: the first failure is the last one.
func noRetries(s *State) { s.Source.Spec.Retries.Limit = new(int32(0)) }

// wasRecorded: the end of the mover that vanished was recorded.
func wasRecorded(s *State) {
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(ReadAttempts(s.Prime).After(s.Vanished, noon))
}

func overdueMover(s *State) {
	runningMover(s)
	onNode(s)
	due(time.Hour)(s)
}

func silentMoverNode(s *State) {
	runningMover(s)
	onNode(s)
	silentNode(s)
}

func evictedAndDeleted(s *State) {
	runningMover(s)
	onNode(s)
	tainted(s)
	due(0)(s)
}

func TestLostMovers(t *testing.T) {
	const lost, unknown = v1alpha1.ReasonMoverLost, corev1.ConditionUnknown
	cases := map[string]struct {
		in   State
		want want
		says string
	}{
		"a mover whose node is silent": {
			world(boundPrime, runningMover, onNode, silentNode),
			want{Wait, unknown, lost},
			"Node worker-7",
		},
		"one that is not ready by itself": {
			world(boundPrime, longMover, onNode, notReady),
			want{Wait, unknown, v1alpha1.ReasonPopulating},
			"",
		},
		"one with a readiness gate": {
			world(boundPrime, longMover, onNode, readinessGate),
			want{Wait, unknown, v1alpha1.ReasonPopulating},
			"",
		},
		"a deleted mover has its grace": {
			world(boundPrime, runningMover, onNode, due(59*time.Second)),
			want{Action: Wait},
			"",
		},
		"one that is overdue": {
			world(boundPrime, runningMover, onNode, due(time.Minute)),
			want{Wait, unknown, lost},
			"out-of-service=nodeshutdown:NoExecute",
		},
		"one that is overdue without a prime": {
			world(runningMover, onNode, due(time.Minute)),
			want{Wait, unknown, lost},
			"Do not force-delete",
		},
		"one that is overdue on a filled prime": {
			world(filledPrime, doneMover, onNode, due(time.Minute)),
			want{Wait, unknown, lost},
			"kubectl delete node worker-7",
		},
		"one that is overdue on a deleted prime": {
			world(deletingPrime, runningMover, onNode, due(time.Minute)),
			want{Wait, unknown, lost},
			"",
		},
		"one that is overdue of a deleted claim": {
			world(deletingPrime, runningMover, onNode, deleting, due(time.Minute)),
			want{Wait, unknown, lost},
			"",
		},
		"one that a finalizer keeps": {
			world(boundPrime, doneMover, onNode, finalizer, due(time.Minute)),
			want{Wait, unknown, lost},
			"example.com/audit",
		},
		"an evicted mover is recorded first": {
			world(boundPrime, runningMover, onNode, tainted, due(-20*time.Second)),
			want{Action: RecordFailure},
			"",
		},
		"then waited for": {
			world(boundPrime, recorded, runningMover, onNode, tainted, due(-20*time.Second)),
			want{Action: Wait},
			"",
		},
		"a mover that vanished is recorded": {world(boundPrime, vanished), want{Action: RecordFailure}, ""},
		"then the next one waits for its time": {
			world(boundPrime, recorded, vanished),
			want{Wait, unknown, "Interrupted"},
			"12:00:10",
		},
		"one that vanished from an earlier prime isn't": {
			world(boundPrime, vanished, func(s *State) { s.Vanished.Annotations[v1alpha1.AnnotationPrimeUID] = "earlier-uid" }),
			want{Action: StartMover},
			"",
		},
		"one that vanished from a filled prime isn't": {world(filledPrime, vanished), want{Action: Rebind}, ""},
		"one that was complete is recorded": {
			world(boundPrime, doneMover, thenVanished), want{Action: RecordFailure}, "",
		},
		"and is no failure, also where none is allowed": {
			world(boundPrime, doneMover, thenVanished, noRetries, wasRecorded),
			want{Wait, unknown, "Interrupted"},
			"The mover was complete, and was deleted by someone else before that was recorded.",
		},
		"it is tried again": {
			world(boundPrime, doneMover, thenVanished, noRetries, wasRecorded, func(s *State) { s.Now = noon.Add(time.Minute) }),
			want{Action: StartMover},
			"",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := Decide(c.in)
			if got := (want{d.Action, d.Status, d.Reason}); got != c.want {
				t.Errorf("decided %+v, want %+v", got, c.want)
			}
			if !strings.Contains(d.Message, c.says) {
				t.Errorf("message %q does not say %q", d.Message, c.says)
			}
			if c.want.Reason == "" && d.Action == Wait && d.Recheck == 0 {
				t.Error("nobody looks again")
			}
			if _, changed := Condition(c.in, d); c.want.Reason == lost && !changed {
				t.Error("the claim does not tell")
			}
		})
	}
}

// What was deleted from outside counts as a disruption, not towards the limit of failures,
// and the next mover waits.
func TestDisruptionsBackOff(t *testing.T) {
	for name, s := range map[string]State{
		"evicted":                world(boundPrime, runningMover, onNode, tainted, due(0)),
		"vanished":               world(boundPrime, vanished),
		"vanished when complete": world(boundPrime, doneMover, thenVanished),
		"deleted, and told so":   world(boundPrime, stoppedMover, toldToEnd, thenVanished),
	} {
		t.Run(name, func(t *testing.T) {
			a := Attempts{}
			for range 3 {
				a = a.After(s.Ended(), noon)
			}
			if a.Failures != 0 || a.Disruptions != 3 || a.Reason != wire.Interrupted || a.Message == "" || a.Mover != moverUID {
				t.Errorf("attempts %+v", a)
			}
			if wait := a.next().Sub(noon); wait != 40*time.Second {
				t.Errorf("the next mover waits %s", wait)
			}
		})
	}
}

// One that its deadline has stopped says the same, and is no disruption.
func TestADeadlineIsNoDisruption(t *testing.T) {
	s := world(boundPrime, stoppedMover)
	if a := (Attempts{}).After(s.Mover, noon); a.Failures != 1 || a.Disruptions != 0 || a.Reason != wire.Interrupted {
		t.Errorf("attempts %+v", a)
	}
}

// A condition does not go on telling what is over.
func TestQuietWordsCorrect(t *testing.T) {
	refused := told(corev1.ConditionUnknown, v1alpha1.ReasonWriteRefused)
	cases := map[string]struct {
		in   State
		want v1alpha1.Reason
	}{
		"a new prime":                     {world(withPrime), ""},
		"a new prime after a refusal":     {world(withPrime, refused), v1alpha1.ReasonProvisioning},
		"a claim without a pod":           {world(lateClass, newClaim), ""},
		"a claim without a pod, for long": {world(lateClass), v1alpha1.ReasonWaitForFirstConsumer},
		"a claim without a pod, told before": {
			world(lateClass, newClaim, told(corev1.ConditionUnknown, v1alpha1.ReasonSourceNotFound)),
			v1alpha1.ReasonWaitForFirstConsumer,
		},
		"a mover that ends":            {world(boundPrime, deletingMover, refused), v1alpha1.ReasonPopulating},
		"a prime without a node":       {world(lateClass, primeLostNode), ""},
		"a prime without a node, told": {world(lateClass, primeLostNode, refused), v1alpha1.ReasonRescheduling},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Decide(c.in).Reason; got != c.want {
				t.Errorf("told %q, want %q", got, c.want)
			}
		})
	}
}
