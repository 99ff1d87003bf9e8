// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/populator/protocol"
	"github.com/s3populator/s3populator/populator/queue"
)

// oneAtATime is a cluster that lets one mover run, with a bound prime of its claim.
func oneAtATime(t *testing.T) (*watched, protocol.State) {
	t.Helper()
	w := newWatched(t)
	clock := func() time.Time { return w.now }
	w.r.Places = places.Office{Queue: queue.New(queue.Caps{Cluster: 1}, clock), Cache: w.api, Now: clock}
	s := world(withPrime)
	delete(s.Prime.Annotations, v1alpha1.AnnotationPopulated)
	delete(s.Prime.Annotations, v1alpha1.AnnotationResult)
	s.Prime.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	s.Prime.Status.Phase = corev1.ClaimBound
	v := volume("pv-1", s.Prime)
	v.Annotations[v1alpha1.AnnotationScratchFor] = claimUID
	for _, o := range []client.Object{s.Prime, v} {
		w.must(w.api.Create(t.Context(), o))
	}
	return w, s
}

// decide is one look at the claim.
func (w *watched) decide(claim *corev1.PersistentVolumeClaim) protocol.Decision {
	w.t.Helper()
	s := w.observe(claim)
	var err error
	s.Queued, err = w.r.turn(w.t.Context(), s)
	w.must(err)
	return protocol.Decide(s)
}

func somebodysMover(changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "populate-other", Namespace: "other", Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RolePopulate,
			v1alpha1.LabelClaimUID: "other",
		}},
		Spec: corev1.PodSpec{NodeName: "n"},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

// A claim waits while another tenant's mover runs, and is woken by its end.
func TestAClaimWaitsForItsTurn(t *testing.T) {
	w, s := oneAtATime(t)
	other := somebodysMover()
	w.must(w.api.Create(t.Context(), other))
	if d := w.decide(s.Claim); d.Action != protocol.Wait || d.Recheck <= 0 {
		t.Fatalf("decided %+v while another mover runs", d)
	}
	waiting := w.r.Places.Waiting(v1alpha1.RolePopulate)
	if got := waiting(t.Context(), other); len(got) != 0 {
		t.Errorf("woken for nothing: %v", got)
	}
	w.must(w.api.Delete(t.Context(), other))
	if got := waiting(t.Context(), other); len(got) != 1 || got[0].NamespacedName != claimKey {
		t.Fatalf("woken: %v", got)
	}
	if d := w.decide(s.Claim); d.Action != protocol.StartMover {
		t.Errorf("decided %+v when it was its turn", d)
	}
}

// Five hundred movers that no node fits do not keep another tenant's claim waiting.
func TestUnschedulableMoversFillNoCap(t *testing.T) {
	w, s := oneAtATime(t)
	for i := range 500 {
		w.must(w.api.Create(t.Context(), somebodysMover(func(p *corev1.Pod) {
			p.Name, p.Spec.NodeName = fmt.Sprint("populate-", i), ""
			p.Status.Conditions = []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable},
			}
		})))
	}
	if d := w.decide(s.Claim); d.Action != protocol.StartMover {
		t.Errorf("decided %+v", d)
	}
}
