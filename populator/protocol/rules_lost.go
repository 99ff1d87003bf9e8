// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// lostPatience is how long a pod may still exist after its grace period before its node is
// taken to be silent. A deletion timestamp is the end of the grace period.
const lostPatience = time.Minute

// WaitForEnd waits for a pod of ours that was told to end. Its end wakes us; that it does
// not end wakes nobody, so that we look by ourselves.
func WaitForEnd(s State, pod *corev1.Pod) Decision {
	overdue := s.Now.Sub(pod.DeletionTimestamp.Time)
	if overdue < lostPatience {
		d := Because(
			corev1.ConditionUnknown,
			v1alpha1.ReasonPopulating,
			fmt.Sprintf("Pod %s is ending; population goes on when it is gone.", pod.Name),
		)
		return d.Again(lostPatience - overdue).Quietly()
	}
	since := pod.DeletionTimestamp.UTC().Format(time.DateTime)
	if moverpod.Stopped(pod) && len(pod.Finalizers) > 0 {
		return Because(corev1.ConditionUnknown, v1alpha1.ReasonMoverLost, fmt.Sprintf(
			"Pod %s has ended, but its finalizers keep it since %s UTC: %s. Whoever set them has to remove them; population "+
				"then goes on.",
			pod.Name,
			since,
			strings.Join(pod.Finalizers, ", "),
		)).Again(lookAgain(overdue))
	}
	return moverLost(pod, fmt.Sprintf("Node %s has not confirmed that pod %s ended, which was due at %s UTC.",
		pod.Spec.NodeName, pod.Name, since)).Again(lookAgain(overdue))
}

// untilEnd says something better than that a pod ends, for as long as that may take.
func untilEnd(s State, d Decision) Decision {
	pod := podGoing(s)
	if pod == nil {
		return d
	}
	end := WaitForEnd(s, pod)
	if end.Reason == v1alpha1.ReasonMoverLost {
		return end
	}
	return d.Again(end.Recheck)
}

// tellLostNode: the node of a mover does not answer. Nothing is started in its place,
// because it may still be writing.
func tellLostNode(s State) (Decision, bool) {
	if s.Mover == nil || !nodeSilent(s.Mover) {
		return Decision{}, false
	}
	return moverLost(s.Mover, fmt.Sprintf("Node %s of pod %s does not answer.", s.Mover.Spec.NodeName, s.Mover.Name)), true
}

// nodeSilent reads what the node lifecycle controller does to the pods of a node that it has
// not heard of for the monitor grace period: it sets Ready to False and changes nothing else.
// A kubelet that says so itself says it of the containers too, or names a readiness gate.
func nodeSilent(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" || ended(pod) {
		return false
	}
	ready, containers := condition(pod, corev1.PodReady), condition(pod, corev1.ContainersReady)
	return ready.Status == corev1.ConditionFalse && containers.Status == corev1.ConditionTrue &&
		ready.Reason != "ReadinessGatesNotReady"
}

func condition(pod *corev1.Pod, of corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == of {
			return c
		}
	}
	return corev1.PodCondition{}
}

// moverLost names the two ways out that cannot end with two writers on one volume.
func moverLost(pod *corev1.Pod, what string) Decision {
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonMoverLost, fmt.Sprintf(
		"%s Its process may still write to the volume, so no other mover is started. Bring the node back, and population "+
			"goes on. "+
			"If the machine is certainly off: `kubectl taint nodes %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`, or `kubectl delete node %s`. "+
			"Do not force-delete the pod alone: that ends no process.",
		what,
		pod.Spec.NodeName,
		pod.Spec.NodeName,
	))
}

// rememberDisruption: an evicted, drained or preempted mover is deleted, so that what ended
// it must be written down while it is still there.
func rememberDisruption(s State) (Decision, bool) {
	if s.Mover == nil || s.Mover.DeletionTimestamp == nil || !moverpod.Disrupted(s.Mover) ||
		ReadAttempts(s.Prime).Mover == string(s.Mover.UID) {
		return Decision{}, false
	}
	return Decision{Action: RecordFailure}, true
}

// rememberFound: a mover that a change or an eviction ends is recorded before it has ended. What it says of the volume
// in the end is what the next one goes by, and decides whether the volume outlives its claim. What it says of its
// progress decides whether there is a next one.
func rememberFound(s State) (Decision, bool) {
	if s.Mover == nil || s.Mover.DeletionTimestamp == nil || !foundSince(s) {
		return Decision{}, false
	}
	return Decision{Action: RecordFound}, true
}

// rememberVanished: a mover that somebody deleted leaves nothing behind but what we have
// seen of it. It counts as a disruption, so that whoever deletes every mover does not make
// us start them without a pause. One that was recorded before it ended may have said more of its volume since.
func rememberVanished(s State) (Decision, bool) {
	switch {
	case s.Mover != nil || s.Vanished == nil || !fillsPrime(s.Vanished, s.Prime):
		return Decision{}, false
	case ReadAttempts(s.Prime).Mover == string(s.Vanished.UID):
		return Decision{Action: RecordFound}, foundSince(s)
	}
	return Decision{Action: RecordFailure}, true
}

// Ended is the mover whose end is to be recorded.
func (s State) Ended() *corev1.Pod {
	if s.Mover == nil {
		return s.Vanished
	}
	return s.Mover
}
