// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
)

// report fills in what does not depend on what is started.
func report(d *decision, s state, reason v1alpha1.Reason, text string) {
	d.Status.ObservedGeneration = s.Policy.Generation
	count(d, s)
	tellSkipped(d, s, text)
	if newlyDecided(s, text) {
		d.Events = append(d.Events, message{v1alpha1.ReasonOlderPolicyDecides, text})
	}
	ready(d, s, reason, text)
}

// count looks at the exports that there are.
func count(d *decision, s state) {
	d.Status.Active = 0
	for i := range s.Exports {
		e := &s.Exports[i]
		switch retention.StateOf(e) {
		case retention.Active:
			d.Status.Active++
		case retention.Complete:
			if done, last := e.Status.CompletionTime, d.Status.LastSuccessfulTime; done != nil && !e.Spec.DryRun &&
				(last == nil || last.Before(done)) {
				d.Status.LastSuccessfulTime = done.DeepCopy()
			}
		case retention.Failed:
		}
	}
}

// scheduled is what Ready says of a policy whose runs begin, and of the claims that wait for theirs.
func scheduled(d decision) (v1alpha1.Reason, string) {
	waiting := d.Status.Waiting
	if len(waiting) == 0 {
		return v1alpha1.ReasonScheduled, d.Text
	}
	return v1alpha1.ReasonRunsWaiting, fmt.Sprintf(
		"%s %d of them wait for the run of %s: %s. Their run before has not ended, "+
			"or the API server refused the S3Export, of which an event tells.",
		d.Text,
		len(waiting),
		d.Status.LastScheduleTime.UTC().Format(time.RFC3339),
		few(waiting),
	)
}

// ready sets the conditions, and tells of what somebody has to correct. They are those that kstatus knows, by which
// Flux and others wait: a policy that is suspended is as it was asked for, and one that cannot be followed has failed.
func ready(d *decision, s state, reason v1alpha1.Reason, text string) {
	if reason != v1alpha1.ReasonScheduled && reason != v1alpha1.ReasonRunsWaiting {
		d.Status.NextScheduleTime = nil
	}
	status := metav1.ConditionTrue
	was := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	invalid := reason == v1alpha1.ReasonInvalidSchedule || reason == v1alpha1.ReasonInvalidSelector
	if invalid {
		status = metav1.ConditionFalse
	}
	if invalid && (was == nil || was.Reason != string(reason)) {
		d.Events = append(d.Events, message{reason, text})
	}
	condition := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, Reason: string(reason), Message: text,
		ObservedGeneration: s.Policy.Generation, LastTransitionTime: metav1.NewTime(s.Now),
	}
	meta.SetStatusCondition(&d.Status.Conditions, condition)
	if !invalid {
		meta.RemoveStatusCondition(&d.Status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	condition.Type, condition.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	meta.SetStatusCondition(&d.Status.Conditions, condition)
}
