// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
	"github.com/s3populator/s3populator/transfer/schedule"
	"github.com/s3populator/s3populator/transfer/selection"
)

// state is everything that a decision rests on.
type state struct {
	Policy *v1alpha1.S3ExportPolicy
	// Claims of the policy's namespace, and the policies there, itself among them.
	Claims   []corev1.PersistentVolumeClaim
	Policies []v1alpha1.S3ExportPolicy
	// Exports that the policy owns, and all of the namespace.
	Exports, Beside []v1alpha1.S3Export
	// Sources of the namespace.
	Sources []v1alpha1.S3Source
	Now     time.Time
}

// decision is what a pass writes and says. Each write may be made twice.
type decision struct {
	// Start are the S3Exports that are due.
	Start []*v1alpha1.S3Export
	// End are active ones that others replace, Prune those that are history.
	End, Prune []*v1alpha1.S3Export
	// Mark is a run whose objects are to be removed, and Kept are those that stay then.
	Mark *v1alpha1.S3Export
	Kept []*v1alpha1.S3Export
	// Status of the policy once all that is to start was started.
	Status v1alpha1.S3ExportPolicyStatus
	// Text is what Ready says of a schedule, besides the claims that wait.
	Text string
	// Skipped is the part of it about claims that cannot be exported.
	Skipped string
	Events  []message
	// Recheck looks again without being woken; zero waits for a watch.
	Recheck time.Duration
}

// message is an event on the policy.
type message struct {
	Reason v1alpha1.Reason
	Note   string
}

// decide looks at one policy.
func decide(s state) decision {
	d := decision{Status: *s.Policy.Status.DeepCopy()}
	claims, err := selected(s)
	if err != nil {
		report(&d, s, v1alpha1.ReasonInvalidSelector, err.Error())
		return d
	}
	d.Status.Claims = int32(min(len(claims), 1<<30))
	claims, devices := withFiles(claims)
	d.Skipped = skipping(devices)
	decided := d.Skipped + decidedElsewhere(s, claims) + prune(&d, s)
	if s.Policy.Spec.Schedule == "" {
		d.Status.Waiting = nil
		report(
			&d,
			s,
			v1alpha1.ReasonOnDeleteOnly,
			"spec.schedule is empty: claims are exported only before they are deleted."+
				decided,
		)
		return d
	}
	plan, err := schedule.Parse(s.Policy.Spec.Schedule, s.Policy.Spec.TimeZone)
	switch {
	case err != nil:
		report(&d, s, v1alpha1.ReasonInvalidSchedule, "spec.schedule: "+err.Error())
	case s.Policy.Spec.Suspend:
		report(&d, s, v1alpha1.ReasonSuspended, "spec.suspend is true: no run of the schedule begins."+decided)
	default:
		fire(&d, s, plan, claims)
		d.Text = "The claims that are selected are exported on schedule." + decided
		reason, text := scheduled(d)
		report(&d, s, reason, text)
	}
	return d
}

// selected claims.
func selected(s state) ([]*corev1.PersistentVolumeClaim, error) {
	selector, err := selection.Of(s.Policy)
	if err != nil {
		return nil, err //nolint:wrapcheck // It names the field and the fix.
	}
	var found []*corev1.PersistentVolumeClaim
	for i := range s.Claims {
		claim := &s.Claims[i]
		if claim.DeletionTimestamp == nil && selector.Selects(claim) {
			found = append(found, claim)
		}
	}
	slices.SortFunc(found, func(a, b *corev1.PersistentVolumeClaim) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// fire starts what is due. A tick that is new concerns every claim; one that was looked at before concerns
// those that waited.
func fire(d *decision, s state, plan schedule.Schedule, claims []*corev1.PersistentVolumeClaim) {
	since, anew := sinceOf(s)
	if anew {
		d.Status.LastScheduleTime = &metav1.Time{Time: since}
		d.Events = append(d.Events, aheadEvents(s)...)
	}
	tick := plan.Due(since, s.Now, nil).Tick
	fresh := !tick.IsZero()
	if !fresh {
		tick = since
	}
	late := 0
	d.Status.Waiting = nil
	for _, claim := range claims {
		if !fresh && (anew || !slices.Contains(s.Policy.Status.Waiting, claim.Name)) {
			continue
		}
		if fireClaim(d, s, claim, tick) == schedule.Miss {
			late++
		}
	}
	d.Events = append(d.Events, missedEvents(late, tick, plan.Due(since, s.Now, deadlineOf(s.Policy)).Missed)...)
	if fresh {
		d.Status.LastScheduleTime = &metav1.Time{Time: tick}
	}
	next := plan.Next(tick, s.Now)
	d.Status.NextScheduleTime = &metav1.Time{Time: next}
	d.again(schedule.Recheck(next, s.Now))
}

// sinceOf is the tick of the last runs, or when the policy was created; earlier ticks do not count. It is told to be
// anew where that is now: the policy had no schedule before, or the clock was ahead.
func sinceOf(s state) (since time.Time, anew bool) {
	ready := meta.FindStatusCondition(s.Policy.Status.Conditions, v1alpha1.ConditionReady)
	switch last := s.Policy.Status.LastScheduleTime; {
	case ready != nil && ready.Reason == string(v1alpha1.ReasonOnDeleteOnly):
		return s.Now, true
	case last != nil && schedule.Ahead(last.Time, s.Now):
		return s.Now, true
	case last != nil:
		return last.Time, false
	}
	return s.Policy.CreationTimestamp.Time, false
}

// fireClaim looks at one claim at a tick.
func fireClaim(d *decision, s state, claim *corev1.PersistentVolumeClaim, tick time.Time) schedule.Action {
	export := exportFor(s.Policy, claim, tick)
	active, there := activeOf(s, claim.UID, export.Name)
	if there != nil {
		if schedule.Ahead(tick, there.CreationTimestamp.Time) {
			d.Events = append(d.Events, message{v1alpha1.ReasonScheduledAhead, fmt.Sprintf("S3Export %s, of the run at %s, was "+
				"made at %s by a manager whose clock was ahead, so that there is no other one for that run.", there.Name,
				tick.UTC().Format(time.RFC3339), there.CreationTimestamp.UTC().Format(time.RFC3339))})
		}
		return schedule.Nothing
	}
	action := schedule.Decide(schedule.Claim{Created: claim.CreationTimestamp.Time, Active: len(active) > 0}, tick, s.Now,
		deadlineOf(s.Policy), schedule.Concurrency(s.Policy.Spec.ConcurrencyPolicy))
	switch action {
	case schedule.Start:
		d.Start = append(d.Start, export)
	case schedule.StartInstead: // Two of them must not write at once: the next one waits until the last is gone.
		for _, a := range active {
			if a.DeletionTimestamp == nil {
				d.End = append(d.End, a)
			}
		}
		d.Status.Waiting = append(d.Status.Waiting, claim.Name)
	case schedule.Wait:
		d.Status.Waiting = append(d.Status.Waiting, claim.Name)
	case schedule.Nothing, schedule.Miss:
	}
	return action
}

// activeOf are the exports of a claim that have not ended, and the one of that name.
func activeOf(s state, claim types.UID, name string) (active []*v1alpha1.S3Export, there *v1alpha1.S3Export) {
	for i := range s.Exports {
		e := &s.Exports[i]
		if e.Name == name {
			there = e
		}
		if e.Labels[v1alpha1.LabelClaimUID] == string(claim) && retention.StateOf(e) == retention.Active {
			active = append(active, e)
		}
	}
	return active, there
}

func deadlineOf(policy *v1alpha1.S3ExportPolicy) *time.Duration {
	if policy.Spec.StartingDeadlineSeconds == nil {
		return nil
	}
	const most = int64(1<<63-1) / int64(time.Second)
	return new(time.Duration(min(*policy.Spec.StartingDeadlineSeconds, most)) * time.Second)
}

// aheadEvents tells of runs that were noted in the future.
func aheadEvents(s state) []message {
	last := s.Policy.Status.LastScheduleTime
	if last == nil || !schedule.Ahead(last.Time, s.Now) {
		return nil
	}
	return []message{
		{v1alpha1.ReasonScheduledAhead, fmt.Sprintf("status.lastScheduleTime was %s, which is in the future: the "+
			"clock of a manager was ahead, or the one of this manager is behind. Runs go on with the next one. Check the clocks "+
			"of the nodes.", last.UTC().Format(time.RFC3339))},
	}
}

func missedEvents(late int, tick time.Time, missed int) []message {
	var all []message
	if late > 0 {
		all = append(all, message{v1alpha1.ReasonMissSchedule, fmt.Sprintf("The runs of %s for %d claims were not begun "+
			"within spec.startingDeadlineSeconds and are left out.", tick.UTC().Format(time.RFC3339), late)})
	}
	if missed > schedule.MostMissed {
		all = append(all, message{v1alpha1.ReasonTooManyMissedTimes, fmt.Sprintf("More than %d runs were missed; only the "+
			"last is made up for. Set or decrease spec.startingDeadlineSeconds, or check the clocks.", schedule.MostMissed)})
	}
	return all
}

// exportFor is the S3Export of a claim at a tick. Whoever makes it makes the same one.
func exportFor(
	policy *v1alpha1.S3ExportPolicy,
	claim *corev1.PersistentVolumeClaim,
	tick time.Time,
) *v1alpha1.S3Export {
	return &v1alpha1.S3Export{
		ObjectMeta: metav1.ObjectMeta{
			Name:      schedule.Name(policy.Name, claim.Name, string(policy.UID), string(claim.UID), tick),
			Namespace: policy.Namespace,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelClaimUID:  string(claim.UID),
			},
			Annotations: map[string]string{v1alpha1.AnnotationScheduledAt: tick.UTC().Format(time.RFC3339)},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(policy, v1alpha1.GroupVersion.WithKind("S3ExportPolicy")),
			},
		},
		Spec: v1alpha1.S3ExportSpec{ClaimName: claim.Name, S3ExportTemplate: *policy.Spec.Template.DeepCopy()},
	}
}

// again looks again after a while, or earlier where that was decided before.
func (d *decision) again(after time.Duration) {
	if d.Recheck == 0 || after < d.Recheck {
		d.Recheck = after
	}
}
