// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// MoverPatience is how long a mover may wait for its node, image or mounts before the
// claim says why. It is longer than a kubelet rests after one failed start, 10 to 15 s: a
// start that fails once, as when the node is not yet known to be allowed to read the
// prime, is no trouble of the user's.
const MoverPatience = 20 * time.Second

// moverQuiet is how long a mover may take before a condition tells of it, on a claim that
// has none to correct. The event that population started explains the wait until then.
const moverQuiet = 15 * time.Second

// detachMover: the data is complete, but while the mover's pod exists it may hold the volume.
func detachMover(s State) (Decision, bool) {
	if !Filled(s.Prime) || s.Mover == nil {
		return Decision{}, false
	}
	if s.Mover.DeletionTimestamp != nil {
		return WaitForEnd(s, s.Mover), true
	}
	return Decision{Action: DeleteMover}, true
}

// checkRebind proves, before the hand-over, that the PV controller will accept the
// volume; afterwards there would be no way back.
func checkRebind(s State) (Decision, bool) {
	if !Filled(s.Prime) || s.PrimeVolume == nil {
		return Decision{}, false
	}
	why := mismatch(s.PrimeVolume, s.Claim)
	if why == "" {
		return Decision{}, false
	}
	return Because(corev1.ConditionFalse, v1alpha1.ReasonRebindBlocked, fmt.Sprintf(
		"Volume %s holds the data but does not fit the claim: %s. Delete the claim and create it to match.",
		s.PrimeVolume.Name,
		why,
	)), true
}

func rebindVolume(s State) (Decision, bool) {
	if !Filled(s.Prime) {
		return Decision{}, false
	}
	return Decision{Action: Rebind}, true
}

func refuseForeignMover(s State) (Decision, bool) {
	if s.Mover == nil || OwnedBy(s.Mover, s.Claim) {
		return Decision{}, false
	}
	return nameTaken(s.Mover.Name), true
}

// endMoverOfEarlierPrime: what a mover tells of one volume is not true of the next. It is seen
// beside the next prime when somebody deleted its own, or when our view of pods is older than
// that of claims.
func endMoverOfEarlierPrime(s State) (Decision, bool) {
	if s.Mover == nil || fillsPrime(s.Mover, s.Prime) {
		return Decision{}, false
	}
	if s.Mover.DeletionTimestamp != nil {
		return WaitForEnd(s, s.Mover), true
	}
	return Decision{Action: DeleteMover}, true
}

// waitForDeletedMover: two movers must never write to one volume.
func waitForDeletedMover(s State) (Decision, bool) {
	if s.Mover == nil || s.Mover.DeletionTimestamp == nil {
		return Decision{}, false
	}
	return WaitForEnd(s, s.Mover), true
}

// acceptResult makes success durable: a pod is not, the prime is.
func acceptResult(s State) (Decision, bool) {
	if s.Mover == nil || !ended(s.Mover) || Ending(s.Mover).Class != wire.Done {
		return Decision{}, false
	}
	return Decision{Action: MarkPopulated}, true
}

// rememberFailure makes a failure durable before anything is done about it.
func rememberFailure(s State) (Decision, bool) {
	if s.Mover == nil || !ended(s.Mover) || ReadAttempts(s.Prime).Mover == string(s.Mover.UID) {
		return Decision{}, false
	}
	return Decision{Action: RecordFailure}, true
}

// waitForMover tells how far it is, or what keeps it from starting.
func waitForMover(s State) (Decision, bool) {
	if s.Mover == nil || ended(s.Mover) {
		return Decision{}, false
	}
	age := s.Now.Sub(s.Mover.CreationTimestamp.Time)
	_, told := Populated(s.Claim)
	switch {
	case !told && age < moverQuiet:
		return Decision{Action: Wait, Recheck: moverQuiet - age}, true
	case s.Mover.Status.Phase == corev1.PodRunning:
		return populating(s), true
	case age < MoverPatience:
		return populating(s).Again(MoverPatience - age), true
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonMoverPending, fmt.Sprintf(
		"Pod %s cannot start yet: %s",
		s.Mover.Name,
		sentence(moverpod.PendingReason(s.Mover, s.Trouble)),
	)).Again(lookAgain(age)), true
}

// tryAgain is the only rule that starts a mover:
//
//	failures so far     source        pod of the failure   action
//	none                exists        -                    start
//	any                 changed       exists / gone        delete / start afresh
//	any                 changed often gone, too early      wait
//	final or too many   same or gone  any                  stay failed; the pod keeps its logs
//	fewer, or waits     same          any, too early       wait
//	fewer, or waits     same          exists / gone        delete / start
//	none or fewer       gone          any                  wait for the source
//
// Attempts.After says what counts as a failure.
func tryAgain(s State) (Decision, bool) {
	past := ReadAttempts(s.Prime)
	fresh := past.fresh(s)
	switch {
	case !fresh && past.exhausted(retryLimit(s.Source)):
		return populationFailed(past), true
	case s.Source == nil:
		return sourceNotFound(s), true
	case !fresh && s.Now.Before(past.next()):
		return retrying(s, past), true
	case s.Mover != nil:
		return Decision{Action: DeleteMover}, true
	case s.Now.Before(past.settled()):
		return waitForEdits(s, past), true
	}
	if _, told := Populated(s.Claim); !told {
		return Decision{Action: StartMover}, true
	}
	return populating(s).Then(StartMover), true
}

func populating(s State) Decision {
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonPopulating, fmt.Sprintf(
		"Pod %s fills the volume as soon as it runs; `kubectl get s3imports -w` shows how far it is.", MoverName(s.Claim)))
}

// populationFailed shows the mover's own reason, which operations.md explains.
func populationFailed(past Attempts) Decision {
	message := sentence(past.Message)
	if !past.Terminal {
		message = fmt.Sprintf(
			"Gave up after %d attempts without progress. The last one: %s",
			past.Failures+past.Disruptions,
			message,
		)
	}
	return Because(corev1.ConditionFalse, v1alpha1.Reason(past.Reason), fmt.Sprintf(
		"%s Population goes on when the S3Source changes or the claim's annotation %s gets a new value.",
		message,
		v1alpha1.AnnotationRetry,
	))
}

func retrying(s State, past Attempts) Decision {
	left, since := past.next().Sub(s.Now), ""
	if past.Waits > 0 {
		since = fmt.Sprintf(
			" That has lasted since %s; there is no limit on these attempts.",
			past.Since.UTC().Format(time.RFC3339),
		)
	}
	return Because(corev1.ConditionUnknown, v1alpha1.Reason(past.Reason), fmt.Sprintf(
		"Attempt %d ended: %s%s It is tried again at %s UTC.",
		past.Movers,
		sentence(past.Message),
		since,
		past.next().UTC().Format(time.TimeOnly),
	)).Again(left)
}

// sentence ends a mover's message, so that another one may follow.
func sentence(message string) string {
	return strings.TrimRight(message, ". ") + "."
}

// Filled tells that a prime's volume holds the whole verified data.
func Filled(prime *corev1.PersistentVolumeClaim) bool {
	return prime.Annotations[v1alpha1.AnnotationPopulated] != ""
}

func ended(pod *corev1.Pod) bool {
	_, ok := moverpod.Ending(pod)
	return ok
}

func retryLimit(source *v1alpha1.S3Source) int {
	if source == nil || source.Spec.Retries.Limit == nil {
		return defaultRetries
	}
	return int(*source.Spec.Retries.Limit)
}
