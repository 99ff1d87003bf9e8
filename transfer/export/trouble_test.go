// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// tells is an event of the Job controller about a Job.
func (b *bench) tells(name string, about *batchv1.Job, message string) {
	b.t.Helper()
	err := b.client.Create(b.t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: key.Namespace, Name: name},
		InvolvedObject: corev1.ObjectReference{UID: about.UID}, Type: corev1.EventTypeWarning,
		Reason: "FailedCreate", Message: message, LastTimestamp: metav1.NewTime(b.now),
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// An export whose Job gets no pods says why in the words of the Job's latest event. To look is a look at all events of
// the namespace, and is done once a minute when there was an answer.
func TestAnExportTellsWhyItsJobGetsNoPods(t *testing.T) {
	b := newShardedBench(t, 0, false)
	b.idle = true
	for range 12 {
		b.step()
	}
	var jobs batchv1.JobList
	if err := b.client.List(t.Context(), &jobs); err != nil || len(jobs.Items) != 1 {
		t.Fatalf("there are %d Jobs (%v): %+v", len(jobs.Items), err, b.export().Status)
	}
	looks := 0
	r := b.reconciler(b.client)
	r.Live = interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if _, ok := l.(*corev1.EventList); ok {
				looks++
			}
			return c.List(ctx, l, opts...) //nolint:wrapcheck // As the API server has it.
		},
	})
	other := jobs.Items[0].DeepCopy()
	other.UID = "another"
	for i, step := range []struct {
		after time.Duration
		event string
		about *batchv1.Job
		looks int
		says  string
	}{
		{after: time.Minute, looks: 1, says: "see `kubectl describe job"},
		{after: time.Second, event: "of another", about: other, looks: 1, says: "see `kubectl describe job"},
		{after: time.Minute, looks: 2, says: "see `kubectl describe job"},
		{
			after: 30 * time.Second, event: "exceeded quota", about: &jobs.Items[0],
			looks: 2, says: "see `kubectl describe job",
		},
		{after: 30 * time.Second, looks: 3, says: "FailedCreate: exceeded quota"},
		{after: 30 * time.Second, event: "it is full", about: &jobs.Items[0], looks: 3, says: "FailedCreate: exceeded quota"},
		{after: 30 * time.Second, looks: 4, says: "FailedCreate: it is full"},
	} {
		b.now = b.now.Add(step.after)
		if step.about != nil {
			b.tells(fmt.Sprint("event-", i), step.about, step.event)
		}
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(b.export().Status.Conditions, v1alpha1.ConditionComplete)
		if c.Reason != string(v1alpha1.ReasonMoverPending) || !strings.Contains(c.Message, step.says) || looks != step.looks {
			t.Errorf("step %d: after %d looks the export says %s: %s; want %d and %q",
				i, looks, c.Reason, c.Message, step.looks, step.says)
		}
	}
}
