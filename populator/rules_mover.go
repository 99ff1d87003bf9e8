// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// moverPatience is how long a mover may wait for its node, image or mounts before the
// claim says why. It is longer than a kubelet rests after one failed start, 10 to 15 s: a
// start that fails once, as when the node is not yet known to be allowed to read the
// prime, is no trouble of the user's.
const moverPatience = 20 * time.Second

// moverQuiet is how long a mover may take before a condition tells of it, on a claim that
// has none to correct. The event that population started explains the wait until then.
const moverQuiet = 15 * time.Second

// detachMover: the data is complete, but while the mover's pod exists it may hold the volume.
func detachMover(s state) (decision, bool) {
	if !filled(s.Prime) || s.Mover == nil {
		return decision{}, false
	}
	if s.Mover.DeletionTimestamp != nil {
		return decision{Action: wait}, true
	}
	return decision{Action: deleteMover}, true
}

// checkRebind proves, before the hand-over, that the PV controller will accept the
// volume; afterwards there would be no way back.
func checkRebind(s state) (decision, bool) {
	if !filled(s.Prime) || s.PrimeVolume == nil {
		return decision{}, false
	}
	why := mismatch(s.PrimeVolume, s.Claim)
	if why == "" {
		return decision{}, false
	}
	return because(corev1.ConditionFalse, v1alpha1.ReasonRebindBlocked, fmt.Sprintf(
		"Volume %s holds the data but does not fit the claim: %s. Delete the claim and create it to match.", s.PrimeVolume.Name, why)), true
}

func rebindVolume(s state) (decision, bool) {
	if !filled(s.Prime) {
		return decision{}, false
	}
	return decision{Action: rebind}, true
}

func refuseForeignMover(s state) (decision, bool) {
	if s.Mover == nil || ownedBy(s.Mover, s.Claim) {
		return decision{}, false
	}
	return because(corev1.ConditionFalse, v1alpha1.ReasonPrimeConflict, fmt.Sprintf(
		"A pod named %s exists that was not made by us. Delete it; population then goes on.", s.Mover.Name)), true
}

// waitForDeletedMover: two movers must never write to one volume.
func waitForDeletedMover(s state) (decision, bool) {
	if s.Mover == nil || s.Mover.DeletionTimestamp == nil {
		return decision{}, false
	}
	return decision{Action: wait}, true
}

// acceptResult makes success durable: a pod is not, the prime is.
func acceptResult(s state) (decision, bool) {
	if s.Mover == nil || !ended(s.Mover) || ending(s.Mover).Class != wire.Done {
		return decision{}, false
	}
	return decision{Action: markPopulated}, true
}

// rememberFailure makes a failure durable before anything is done about it.
func rememberFailure(s state) (decision, bool) {
	if s.Mover == nil || !ended(s.Mover) || readAttempts(s.Prime).Mover == string(s.Mover.UID) {
		return decision{}, false
	}
	return decision{Action: recordFailure}, true
}

// waitForMover tells how far it is, or what keeps it from starting.
func waitForMover(s state) (decision, bool) {
	if s.Mover == nil || ended(s.Mover) {
		return decision{}, false
	}
	age := s.Now.Sub(s.Mover.CreationTimestamp.Time)
	_, told := populated(s.Claim)
	switch {
	case !told && age < moverQuiet:
		return decision{Action: wait, Recheck: moverQuiet - age}, true
	case s.Mover.Status.Phase == corev1.PodRunning:
		return populating(s), true
	case age < moverPatience:
		return populating(s).again(moverPatience - age), true
	}
	return because(corev1.ConditionUnknown, v1alpha1.ReasonMoverPending, fmt.Sprintf(
		"Pod %s cannot start yet: %s", s.Mover.Name, moverpod.PendingReason(s.Mover, s.Trouble))).again(lookAgain(age)), true
}

// tryAgain is the only rule that starts a mover:
//
//	failures so far     source        pod of the failure   action
//	none                exists        -                    start
//	any                 changed       exists / gone        delete / start afresh
//	final or too many   same or gone  any                  stay failed; the pod keeps its logs
//	fewer               same          any, too early       wait
//	fewer               same          exists / gone        delete / start
//	none or fewer       gone          any                  wait for the source
func tryAgain(s state) (decision, bool) {
	past := readAttempts(s.Prime)
	fresh := past.Hash == "" || s.Source != nil && past.Hash != specHash(s.Source, s.Claim)
	switch {
	case !fresh && past.exhausted(retryLimit(s.Source)):
		return populationFailed(past), true
	case s.Source == nil:
		return sourceNotFound(s), true
	case !fresh && s.Now.Before(past.next()):
		return retrying(s, past), true
	case s.Mover != nil:
		return decision{Action: deleteMover}, true
	}
	if _, told := populated(s.Claim); !told {
		return decision{Action: startMover}, true
	}
	return populating(s).then(startMover), true
}

func populating(s state) decision {
	return because(corev1.ConditionUnknown, v1alpha1.ReasonPopulating, fmt.Sprintf(
		"Pod %s is filling the volume; `kubectl get s3imports -w` shows how far it is.", moverName(s.Claim)))
}

// populationFailed shows the mover's own reason, which operations.md explains.
func populationFailed(past attempts) decision {
	message := sentence(past.Message)
	if !past.Terminal {
		message = fmt.Sprintf("Gave up after %d attempts. The last one: %s", past.Failures+past.Disruptions, message)
	}
	return because(corev1.ConditionFalse, v1alpha1.Reason(past.Reason), fmt.Sprintf(
		"%s Population goes on when the S3Source changes or the claim's annotation %s gets a new value.", message, v1alpha1.AnnotationRetry))
}

func retrying(s state, past attempts) decision {
	left := past.next().Sub(s.Now)
	return because(corev1.ConditionUnknown, v1alpha1.Reason(past.Reason), fmt.Sprintf(
		"Attempt %d ended: %s It is tried again at %s.", past.Failures+past.Disruptions, sentence(past.Message), past.next().UTC().Format(time.TimeOnly))).again(left)
}

// sentence ends a mover's message, so that another one may follow.
func sentence(message string) string {
	return strings.TrimRight(message, ". ") + "."
}

func filled(prime *corev1.PersistentVolumeClaim) bool {
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
