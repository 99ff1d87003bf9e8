// SPDX-License-Identifier: Apache-2.0

// Package inventory lists what an S3Source selects and says whether it is Ready. A short
// mover pod in the source's namespace does the listing, so that the manager needs no
// Secret. It touches no volume and no claim.
package inventory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
)

// state is all that a decision may rest on.
type state struct {
	Now    time.Time
	Source *v1alpha1.S3Source
	Pod    *corev1.Pod
	// Found is the export that a source names whose prefix is not known yet, and Why there is none.
	Found *v1alpha1.SourceExport
	Why   string
	// Queued is where the listing stands that may not start yet; nil lets it start.
	Queued *queue.Position
}

type action string

const (
	wait      action = "Wait"
	startPod  action = "StartPod"
	deletePod action = "DeletePod"
	// resolve writes which export a source names.
	resolve action = "Resolve"
)

// decision is one write and, when Status is set, the Ready condition.
type decision struct {
	Action    action
	Status    metav1.ConditionStatus
	Reason    v1alpha1.Reason
	Message   string
	Inventory *v1alpha1.Inventory
	// Failures and Next are written with the condition.
	Failures int32
	Next     *metav1.Time
	Recheck  time.Duration
}

// podPatience is how long a pod may wait for a node or an image before the source says so.
const podPatience = 10 * time.Second

// endPatience is how long a pod may still exist after its grace period.
const endPatience = time.Minute

// Back-off between failed inventories: 10 s, doubled, at most 10 min, or 15 min where a
// server is waited for.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 10 * time.Minute
	lastWait     = 15 * time.Minute
)

// soon is when we look again after a verdict was told: a change of status wakes nobody.
const soon = time.Second

// decide is pure:
//
//	pod                      for this spec   decision
//	any                      no              delete it
//	being deleted            any             wait; after a minute end it by force
//	pending, running         yes             wait
//	ended, not yet told      yes             tell
//	succeeded, told          yes             delete it
//	failed, told             yes             keep it for its logs until the next attempt is due
//	none                     -               start one when it is due
//
// Before any of these the export is found that a source names.
func decide(s state) decision { return inTurn(s, wish(s)) }

// wish is what would be done with a place for a pod.
func wish(s state) decision {
	switch {
	case s.Source.DeletionTimestamp != nil:
		return decision{Action: wait}
	case s.Source.Spec.FromExport != nil:
		return findExport(s)
	case s.Source.Annotations[v1alpha1.AnnotationInventory] == v1alpha1.InventorySkip:
		return skip(s)
	case s.Pod != nil && s.Pod.DeletionTimestamp != nil:
		return waitForEnd(s)
	case s.Pod != nil && s.Pod.Annotations[v1alpha1.AnnotationRequestHash] != requestHash(s.Source):
		return decision{Action: deletePod}
	case s.Pod == nil:
		return startWhenDue(s)
	}
	report, done := moverpod.Ending(s.Pod)
	if !done {
		return waitForPod(s)
	}
	if report.Class == wire.Done {
		return succeed(s, report)
	}
	return fail(s, report)
}

// findExport is for a source that names an export whose prefix is not in the status.
func findExport(s state) decision {
	if s.Found != nil {
		return decision{Action: resolve, Recheck: soon}
	}
	if s.Pod != nil && s.Pod.DeletionTimestamp == nil {
		return decision{Action: deletePod}
	}
	return decision{
		Action: wait, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonExportNotFound,
		Message: "spec.fromExport: " + s.Why + ". The source can be read when there is one; the bucket and the server have " +
			"to be those that it was exported to.",
	}
}

func skip(s state) decision {
	if s.Pod != nil && s.Pod.DeletionTimestamp == nil {
		return decision{Action: deletePod}
	}
	return decision{
		Action: wait, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInventorySkipped,
		Message: "No inventory is taken of this source; it is read when a claim is filled.",
	}
}

// startWhenDue starts one for a new spec, for a new refresh token, and at the time that
// the last one set.
func startWhenDue(s state) decision {
	next := s.Source.Status.NextInventoryTime
	switch {
	case !told(s.Source):
		return taking(startPod)
	case next == nil:
		return decision{Action: wait}
	case s.Now.Before(next.Time):
		return decision{Action: wait, Recheck: next.Sub(s.Now)}
	}
	return decision{Action: startPod} // The last verdict stands until the next one.
}

// told tells that the Ready condition is a verdict on this spec and refresh token.
func told(source *v1alpha1.S3Source) bool {
	ready := meta.FindStatusCondition(source.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.ObservedGeneration == source.Generation && ready.Status != metav1.ConditionUnknown &&
		source.Status.ObservedRefresh == source.Annotations[v1alpha1.AnnotationRefresh]
}

// interval adds spec.refreshInterval to the end of a listing; nil without one.
func interval(source *v1alpha1.S3Source, from time.Time) *metav1.Time {
	if source.Spec.RefreshInterval == nil || source.Spec.RefreshInterval.Duration <= 0 {
		return nil
	}
	return new(metav1.NewTime(from.Add(source.Spec.RefreshInterval.Duration)))
}

// waitForPod tells what keeps a pod from starting, and takes that back when it runs.
func waitForPod(s state) decision {
	age := s.Now.Sub(s.Pod.CreationTimestamp.Time)
	switch {
	case s.Pod.Status.Phase == corev1.PodPending && age < podPatience:
		return decision{Action: wait, Recheck: podPatience - age}
	case s.Pod.Status.Phase == corev1.PodPending:
		return pending(fmt.Sprintf("Pod %s cannot start yet: %s", s.Pod.Name, moverpod.PendingReason(s.Pod, "")))
	case told(s.Source):
		return decision{Action: wait} // The last verdict stands until the next one.
	}
	return taking(wait)
}

func taking(a action) decision {
	return decision{
		Action:  a,
		Status:  metav1.ConditionUnknown,
		Reason:  v1alpha1.ReasonTakingInventory,
		Message: "The source is being listed.",
	}
}

func pending(message string) decision {
	return decision{
		Action:  wait,
		Status:  metav1.ConditionUnknown,
		Reason:  v1alpha1.ReasonInventoryPending,
		Message: message,
		Recheck: podPatience,
	}
}

// waitForEnd waits for a pod that is being deleted. A node that does not answer never
// confirms its end; an inventory writes nothing, so that nothing is lost by not waiting.
func waitForEnd(s state) decision {
	overdue := s.Now.Sub(s.Pod.DeletionTimestamp.Time)
	switch {
	case overdue < endPatience:
		return decision{Action: wait, Recheck: endPatience - overdue}
	case len(s.Pod.Finalizers) > 0:
		return pending(
			fmt.Sprintf(
				"Pod %s was deleted, but its finalizers keep it since %s: %s. Whoever set them has to remove them; the source is then listed.",
				s.Pod.Name,
				s.Pod.DeletionTimestamp.UTC().Format(time.DateTime),
				strings.Join(s.Pod.Finalizers, ", "),
			),
		)
	}
	return decision{Action: deletePod, Recheck: endPatience}
}

// succeed tells the numbers first and removes the pod when they are told.
func succeed(s state, r wire.Report) decision {
	at := metav1.NewTime(finished(s.Pod))
	if told(s.Source) && s.Source.Status.Inventory != nil && s.Source.Status.Inventory.ObservedAt.Equal(&at) {
		return decision{Action: deletePod}
	}
	message := fmt.Sprintf("%d objects, %d bytes.", r.Objects, r.Bytes)
	if r.SkippedKeys > 0 {
		message += fmt.Sprintf(
			" %d keys cannot be files on a volume; spec.unsafeKeys says whether they are left out or refused.",
			r.SkippedKeys,
		)
	}
	return decision{
		Action: wait, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInventoryTaken, Message: message,
		Inventory: &v1alpha1.Inventory{
			Objects: r.Objects, Bytes: r.Bytes, Digest: r.ManifestDigest, UnsafeKeys: r.SkippedKeys,
			ObservedAt: at, ObservedGeneration: s.Source.Generation,
		},
		Next:    interval(s.Source, at.Time),
		Recheck: soon,
	}
}

// fail tells why, and when it is tried again: after a back-off where time may help, else
// at the interval, else only when somebody changes something. The failed pod keeps its
// logs until then.
func fail(s state, r wire.Report) decision {
	n := attempt(s.Pod)
	d := decision{
		Action: wait, Status: metav1.ConditionFalse, Reason: v1alpha1.Reason(r.Reason), Message: r.Message,
		Failures: int32(min(n, 1000)), //nolint:gosec // G115: attempts are counted from 1.
		Next:     interval(s.Source, finished(s.Pod)),
	}
	switch {
	case r.Class == wire.RetryUncounted:
		waitOut(s, &d)
	case r.Class.Again() && n <= limit(s.Source):
		d.Next = new(metav1.NewTime(finished(s.Pod).Add(backoff(n))))
	}
	switch {
	case d.Next == nil:
		d.Message += fmt.Sprintf(
			" The source is listed again when its spec changes or its annotation %s gets a new value.",
			v1alpha1.AnnotationRefresh,
		)
	case !told(s.Source):
		d.Recheck = soon
	case s.Now.Before(d.Next.Time):
		d.Recheck = d.Next.Sub(s.Now)
	default:
		return decision{Action: deletePod}
	}
	return d
}

// waitOut is for a server that throttles or cannot be reached, which is nobody's mistake
// and does not count: it is asked again after as long as the source could not be listed,
// at most lastWait, without an end.
func waitOut(s state, d *decision) {
	since, at := s.Now.Truncate(time.Second), finished(s.Pod)
	if ready := meta.FindStatusCondition(s.Source.Status.Conditions, v1alpha1.ConditionReady); told(s.Source) &&
		ready.Status == metav1.ConditionFalse {
		since = ready.LastTransitionTime.Time
	}
	d.Failures--
	d.Next = new(metav1.NewTime(at.Add(min(max(at.Sub(since), firstBackoff), lastWait))))
	d.Message += fmt.Sprintf(
		" The source could not be listed since %s; the next attempt is at %s UTC, and there is no limit.",
		since.UTC().Format(time.RFC3339),
		d.Next.UTC().Format(time.TimeOnly),
	)
}

// defaultLimit is that of the schema, for sources made before it.
const defaultLimit = 6

func limit(source *v1alpha1.S3Source) int {
	if source.Spec.Retries.Limit == nil {
		return defaultLimit
	}
	return int(*source.Spec.Retries.Limit)
}

func backoff(n int) time.Duration {
	wait := firstBackoff
	for range min(n-1, 10) {
		wait = min(2*wait, lastBackoff)
	}
	return wait
}

// attempt is the number of a mover pod, from 1.
func attempt(pod *corev1.Pod) int {
	n, err := strconv.Atoi(pod.Annotations[v1alpha1.AnnotationAttempt])
	if err != nil {
		return 1
	}
	return n
}

// finished is when the mover's container ended; whole seconds, as the API stores them.
func finished(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == moverpod.ContainerName && c.State.Terminated != nil {
			return c.State.Terminated.FinishedAt.Time
		}
	}
	return pod.CreationTimestamp.Time
}
