// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// +kubebuilder:rbac:groups="",resources=events,verbs=list

// troubleEvery is how long what the events of a Job say is good enough: each look is one at all events of a namespace.
const troubleEvery = time.Minute

// whyNoPods reads why the Job of an export gets no pods: the Job controller, to which the API server refuses them,
// tells it by events alone.
func (r *Reconciler) whyNoPods(ctx context.Context, s *protocol.State) {
	if !protocol.LacksPods(*s) || r.seen.recallTrouble(s) {
		return
	}
	s.Trouble = r.trouble(ctx, s.Job, lastMade(s.Pods))
	r.seen.rememberTrouble(s)
}

// lastMade is when the last of some pods was made: what was refused before that is not what is waited for now.
func lastMade(pods []corev1.Pod) (at time.Time) {
	for i := range pods {
		if made := pods[i].CreationTimestamp.Time; made.After(at) {
			at = made
		}
	}
	return at
}

// trouble is the latest Warning event of an object since a time. It only explains: without it everything else goes on.
func (r *Reconciler) trouble(ctx context.Context, of client.Object, since time.Time) string {
	var found corev1.EventList
	err := r.Live.List(ctx, &found, client.InNamespace(of.GetNamespace()),
		client.MatchingFields{"involvedObject.uid": string(of.GetUID()), "type": corev1.EventTypeWarning})
	if err != nil {
		log.FromContext(ctx).Info("Cannot read why an export waits", "for", of.GetName(), "error", err.Error())
	}
	return latest(found.Items, since)
}

// latest is the message of the newest event, if that was seen since a time.
func latest(all []corev1.Event, since time.Time) string {
	all = slices.DeleteFunc(slices.Clone(all), func(e corev1.Event) bool { return lastSeen(&e).Before(since) })
	if len(all) == 0 {
		return ""
	}
	newest := slices.MaxFunc(all, func(a, b corev1.Event) int { return lastSeen(&a).Compare(lastSeen(&b)) })
	return newest.Reason + ": " + newest.Message
}

// lastSeen is when an event was last seen, whichever API wrote it.
func lastSeen(e *corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.LastTimestamp.Time} {
		if t.After(at) {
			at = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	return at
}
