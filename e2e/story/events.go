// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Events are the reasons of the manager's events on an object, in order of their time, but for those which only say
// that the machine is busy.
func (s *Story) Events(o client.Object) []string {
	s.T.Helper()
	var all corev1.EventList
	s.must("list events", s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace),
		client.MatchingFields{"involvedObject.uid": string(o.GetUID())}))
	slices.SortStableFunc(all.Items, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b).Time) })
	var reasons []string
	for i := range all.Items {
		if t, ok := toldBy(&all.Items[i]); ok && !t.slow() {
			reasons = append(reasons, t.reason)
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
