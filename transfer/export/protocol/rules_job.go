// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// tellLostPods: the Job makes no pod for a shard as long as one of it is there. Where no other runs, nothing goes on.
func tellLostPods(s State) (Decision, bool) {
	var names []string
	var since time.Time
	for i := range s.Pods {
		p := &s.Pods[i]
		if attempts.Ended(p) {
			continue
		}
		if p.DeletionTimestamp == nil || s.Now.Sub(p.DeletionTimestamp.Time) < endPatience {
			return Decision{}, false
		}
		names = append(names, p.Name)
		if since.IsZero() || p.DeletionTimestamp.Time.Before(since) {
			since = p.DeletionTimestamp.Time
		}
	}
	if s.Job == nil || !attempts.Active(s.Mover) || len(names) == 0 {
		return Decision{}, false
	}
	slices.Sort(names)
	return waiting(v1alpha1.ReasonMoverLost, waitEvery,
		"Job %s waits for pods that were told to end at %s UTC and are still there. If their node is gone for good, delete "+
			"them: kubectl delete pod %s --force; the export then goes on.",
		s.Job.Name, since.UTC().Format(time.DateTime), strings.Join(names, " "))
}

// runs tells that the mover does. A Job does, too, between two pods, for as long as it may take to make one and start
// it; one that gets no pods any more, as by a quota, does not.
func (s State) runs() bool {
	if s.Job == nil || attempts.Running(s.Mover) {
		return attempts.Running(s.Mover)
	}
	var last time.Time
	ended := false
	for i := range s.Pods {
		p := &s.Pods[i]
		ended = ended || attempts.Ended(p)
		for _, at := range []time.Time{p.CreationTimestamp.Time, endOf(p)} {
			if at.After(last) {
				last = at
			}
		}
	}
	return ended && s.Now.Sub(last) < moverPatience
}

// LacksPods tells of a Job that should have pods and has none: why is told by its events.
func LacksPods(s State) bool {
	there := func(p corev1.Pod) bool { return !attempts.Ended(&p) }
	return s.Job != nil && attempts.Active(s.Mover) && !s.runs() && !slices.ContainsFunc(s.Pods, there) &&
		s.Now.Sub(s.Mover.CreationTimestamp.Time) >= moverPatience
}

// endOf is when the mover in a pod ended; zero before that.
func endOf(p *corev1.Pod) time.Time {
	for _, c := range p.Status.ContainerStatuses {
		if t := c.State.Terminated; t != nil && c.Name == moverpod.ContainerName {
			return t.FinishedAt.Time
		}
	}
	return time.Time{}
}
