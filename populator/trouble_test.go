// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

// eventCounter is a live reader that counts the lists of events.
type eventCounter struct {
	client.Reader
	lists int
	text  string
}

func (c *eventCounter) List(ctx context.Context, l client.ObjectList, opts ...client.ListOption) error {
	events, ok := l.(*corev1.EventList)
	if !ok {
		return c.Reader.List(ctx, l, opts...)
	}
	c.lists++
	events.Items = []corev1.Event{{Reason: "FailedMount", Message: c.text}}
	return nil
}

// watched is a reconciler on a cluster with one claim whose mover, or prime, waits.
type watched struct {
	*simulator

	r      *Reconciler
	events *eventCounter
	now    time.Time
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{simulator: newSimulator(t), now: noon}
	w.events = &eventCounter{Reader: w.api, text: "no such disk"}
	o := testOptions()
	o.Now = func() time.Time { return w.now }
	w.r = &Reconciler{Client: w.api, Live: w.events, Options: o}
	return w
}

func (w *watched) observe(claim *corev1.PersistentVolumeClaim) protocol.State {
	w.t.Helper()
	s, err := w.r.observe(w.t.Context(), claim)
	w.must(err)
	return s
}

// waitingMover makes a bound prime and a mover that has been Pending for an hour.
func (w *watched) waitingMover(change func(*corev1.Pod)) protocol.State {
	w.t.Helper()
	s := world(withPrime, moverIn(corev1.PodPending))
	delete(s.Prime.Annotations, v1alpha1.AnnotationPopulated)
	s.Prime.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	s.Mover.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour))
	change(s.Mover)
	w.must(w.api.Create(w.t.Context(), s.Prime))
	w.must(w.api.Create(w.t.Context(), s.Mover))
	return s
}

// A list of events is a scan of a namespace in the API server. Where the pod's own status
// says why it waits, there is none; elsewhere at most one a minute.
func TestEventsAreReadOnlyWhereNothingElseTells(t *testing.T) {
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "a" }
	cases := map[string]struct {
		change func(*corev1.Pod)
		want   int
	}{
		"unschedulable": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes"},
			}
		}, 0},
		"without a node": {func(*corev1.Pod) {}, 0},
		"an image that cannot be pulled": {func(p *corev1.Pod) {
			onNode(p)
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: moverpod.ContainerName, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"},
			}}}
		}, 0},
		"a volume that is not mounted": {onNode, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			claim := w.waitingMover(c.change).Claim
			for range 5 {
				w.observe(claim)
				w.now = w.now.Add(10 * time.Second)
			}
			if w.events.lists != c.want {
				t.Errorf("events were listed %d times in 50 s, want %d", w.events.lists, c.want)
			}
		})
	}
}

func TestEventsAreReadAgainAfterAMinute(t *testing.T) {
	w := newWatched(t)
	claim := w.waitingMover(func(p *corev1.Pod) { p.Spec.NodeName = "a" }).Claim
	for i, step := range []struct {
		after time.Duration
		now   string
		want  string
	}{
		{0, "first", "FailedMount: first"},
		{59 * time.Second, "second", "FailedMount: first"},
		{time.Second, "second", "FailedMount: second"},
	} {
		w.now, w.events.text = w.now.Add(step.after), step.now
		if got := w.observe(claim).Trouble; got != step.want {
			t.Errorf("look %d: %q, want %q", i, got, step.want)
		}
	}
}

// Many claims at once share one rate, however many objects wait.
func TestEventsOfManyObjectsAreReadSlowly(t *testing.T) {
	w := newWatched(t)
	const objects, seconds = 1000, 10
	for range seconds {
		for i := range objects {
			o := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "mover", Namespace: "team", UID: types.UID(fmt.Sprint("uid-", i))},
			}
			if _, err := w.r.troubles.of(t.Context(), w.events, w.now, o); err != nil {
				t.Fatal(err)
			}
		}
		w.now = w.now.Add(time.Second)
	}
	if most := troubleBurst + seconds*troubleRate; w.events.lists > most || w.events.lists < seconds {
		t.Errorf("events were listed %d times in %d s, want at most %d", w.events.lists, seconds, most)
	}
}
