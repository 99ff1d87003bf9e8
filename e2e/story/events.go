// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mostRepeats is how often one event of ours may be repeated in a story. What is waited
// for is told once; more than a few repeats are a loop.
const mostRepeats = 3

// judgeEvents fails a story in which the manager warned of something that the story did
// not provoke, or told the same thing again and again.
func (s *Story) judgeEvents(ctx context.Context) {
	var all corev1.EventList
	if err := s.World.Client.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		s.T.Errorf("list events: %v", err)
	}
	for _, e := range all.Items {
		if e.ReportingController != ManagerName && e.Source.Component != ManagerName {
			continue
		}
		if e.Type == corev1.EventTypeWarning && !slices.Contains(s.Warnings, e.Reason) && !slow(e) {
			s.T.Errorf("the manager warned: %s: %s", e.Reason, e.Message)
		}
		repeats := e.Count
		if e.Series != nil {
			repeats = e.Series.Count
		}
		if repeats > mostRepeats {
			s.T.Errorf("the manager told %d times: %s: %s", repeats, e.Reason, e.Message)
		}
	}
}

// slow tells of a pod that had not started in time and of which nobody reports any trouble: a
// machine that is busy with other stories is no defect.
func slow(e corev1.Event) bool {
	return strings.HasSuffix(e.Reason, "Pending") && strings.Contains(e.Message, "cannot start yet: see `kubectl describe pod")
}

// Events are the reasons of the manager's events on an object, in order of their time.
func (s *Story) Events(o client.Object) []string {
	s.T.Helper()
	var all corev1.EventList
	s.must("list events", s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace),
		client.MatchingFields{"involvedObject.uid": string(o.GetUID())}))
	slices.SortStableFunc(all.Items, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b).Time) })
	var reasons []string
	for _, e := range all.Items {
		if e.ReportingController == ManagerName || e.Source.Component == ManagerName {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// WaitForEvent waits until the manager told an object something for a reason. What a
// condition says for a moment only may be gone before anybody looks; an event stays.
func (s *Story) WaitForEvent(o client.Object, reason, text string) {
	s.T.Helper()
	s.Await(fmt.Sprintf("event %s: %s", reason, text), func() error {
		var all corev1.EventList
		err := s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace),
			client.MatchingFields{"involvedObject.uid": string(o.GetUID())})
		if err != nil {
			return err
		}
		for _, e := range all.Items {
			if e.Reason == reason && strings.Contains(e.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("it is none of %d events", len(all.Items))
	})
}

func objectMeta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
