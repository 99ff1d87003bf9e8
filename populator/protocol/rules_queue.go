// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/queue"
)

// queueQuiet is how long a claim may wait for its turn before its condition says so, unless
// there is something to correct.
const queueQuiet = moverQuiet

// inTurn holds back every decision that would start a pod, whichever rule made it, until the
// queue has a place for it.
func inTurn(s State, d Decision) Decision {
	if s.Queued == nil || !starts(d.Action) {
		return d
	}
	_, told := Populated(s.Claim)
	if left := queueQuiet - s.Queued.Waited; !told && left > 0 {
		return Decision{Action: Wait, Recheck: min(left, s.Queued.Recheck())}
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonQueued,
		"The mover of this claim is queued: "+s.Queued.String()).Again(s.Queued.Recheck())
}

// starts tells that an action makes a pod that takes a place. A consumer takes that of the
// mover that follows it.
func starts(a Action) bool { return a == StartMover || a == StartConsumer }

// WantsPlace tells that all that keeps a mover from starting is a place for it.
func WantsPlace(s State) bool {
	s.Queued = nil
	return starts(Decide(s).Action)
}

// PlaceFor is what a claim's mover asks the queue for. It wants a source.
func PlaceFor(s State) queue.Request {
	return queue.Request{
		Use: queue.Use{
			UID: s.Claim.UID, Namespace: s.Claim.Namespace, Places: 1,
			Endpoint: queue.Host(s.Source.Spec.Endpoint), Source: string(s.Source.UID),
		},
		Role:      v1alpha1.RolePopulate,
		Name:      types.NamespacedName{Namespace: s.Claim.Namespace, Name: s.Claim.Name},
		Since:     s.Claim.CreationTimestamp.Time,
		SourceMax: int(s.Source.Spec.Transfer.MaxMovers),
	}
}
