// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

func accept(string, client.Object) error { return nil }

// Whoever deletes every mover by force makes us start them with a growing pause, and the
// claim tells it.
func TestADeletedMoverIsFollowedAfterAPause(t *testing.T) {
	d := newDenied(t, accept)
	started := map[string]bool{}
	for end := d.now.Add(5 * time.Minute); d.now.Before(end); d.now = d.now.Add(time.Second) {
		_, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		d.must(err)
		for d.provision() || d.bind() {
		}
		for _, p := range d.pods() {
			started[string(p.UID)] = true
			d.must(d.api.Delete(t.Context(), &p))
		}
	}
	if n := len(started); n < 4 || n > 7 {
		t.Errorf("%d movers in five minutes", n)
	}
	c := d.condition()
	if c.Reason != "Interrupted" || !strings.Contains(c.Message, "deleted by someone else") {
		t.Errorf("condition %+v", c)
	}
}

// A mover that we end ourselves is no disruption.
func TestOurOwnDeletionIsNoDisruption(t *testing.T) {
	d := newDenied(t, accept)
	d.run(2 * time.Minute)
	if c := d.condition(); c.Status != corev1.ConditionTrue {
		t.Fatalf("condition %+v", c)
	}
	if told := d.told(); strings.Contains(told, "Interrupted") {
		t.Errorf("told:\n%s", told)
	}
}

// hiding makes a cache that shows only what carries our labels, and a policy that changes
// one of them.
func hiding(d *denied, label string, of func(client.Object) bool) {
	d.r.Client = interceptor.NewClient(d.ours, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if of(o) {
				o.GetLabels()[label] = "platform"
			}
			return c.Create(ctx, o, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, k client.ObjectKey, o client.Object,
			opts ...client.GetOption,
		) error {
			err := c.Get(ctx, k, o, opts...)
			if pod, ok := o.(*corev1.Pod); ok && err == nil && pod.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
				return errNoSuchPod
			}
			return err
		},
	})
}

// A policy that changes labels makes objects that no watch shows. The claim says which label
// of which object, and we look every 30 s, also after a restart.
func TestChangedLabelsAreTold(t *testing.T) {
	isPod := func(o client.Object) bool { _, ok := o.(*corev1.Pod); return ok }
	cases := map[string]struct {
		label string
		of    func(client.Object) bool
	}{
		"the mover's managed-by": {v1alpha1.LabelManagedBy, isPod},
		"the mover's role":       {v1alpha1.LabelRole, isPod},
		"the prime's role":       {v1alpha1.LabelRole, isPrime},
		"the prime's claim":      {v1alpha1.LabelClaimUID, isPrime},
	}
	for name, c := range cases {
		for _, restarted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				d := newDenied(t, accept)
				hiding(d, c.label, c.of)
				d.run(10 * time.Second)
				if restarted {
					d.r = &Reconciler{Client: d.r.Client, Live: d.r.Live, Events: d.events, Options: d.r.Options}
				}
				passes := 0
				for end := d.now.Add(5 * time.Minute); d.now.Before(end); passes++ {
					result, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
					d.must(err)
					d.now = d.now.Add(max(result.RequeueAfter, 50*time.Millisecond))
				}
				if passes > 15 {
					t.Errorf("%d passes in five minutes", passes)
				}
				got := d.condition()
				if got.Reason != string(v1alpha1.ReasonLabelsChanged) || !strings.Contains(got.Message, c.label) ||
					!strings.Contains(got.Message, `"platform"`) {
					t.Errorf("condition %+v", got)
				}
				d.policyIsCorrected(t, c.of)
			})
		}
	}
}

// policyIsCorrected does what the message says.
func (d *denied) policyIsCorrected(t *testing.T, of func(client.Object) bool) {
	t.Helper()
	d.r.Client = d.ours
	for _, p := range d.pods() {
		if of(&p) {
			d.must(d.api.Delete(t.Context(), &p))
		}
	}
	for _, c := range d.claims() {
		if of(&c) {
			d.must(d.api.Delete(t.Context(), &c))
		}
	}
	d.run(4 * time.Minute)
	if c := d.condition(); c.Status != corev1.ConditionTrue {
		t.Errorf("after the policy was corrected: %+v", c)
	}
}

// A node that the provisioner gives up is told when that happens. A condition would be
// written with a view of the claim that is older than the very patch before it.
func TestANodeThatIsGivenUpIsTold(t *testing.T) {
	d := newDenied(t, accept, lateClass, claimNode)
	pass := func() {
		_, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		d.must(err)
	}
	pass()
	prime := &corev1.PersistentVolumeClaim{}
	d.must(d.api.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: protocol.PrimePrefix + claimUID}, prime))
	delete(prime.Annotations, v1alpha1.AnnotationSelectedNode)
	d.must(d.api.Update(t.Context(), prime))
	pass()
	if told := d.told(); !strings.Contains(told, "Rescheduling") || !strings.Contains(told, "node a") {
		t.Errorf("told:\n%s", told)
	}
	for range 3 {
		d.now = d.now.Add(10 * time.Second)
		pass()
	}
	if c := d.condition(); c.Reason != string(v1alpha1.ReasonRescheduling) {
		t.Errorf("condition %+v", c)
	}
}

// A claim that was deleted takes its mover with it. A cache that shows the one and not the other makes no warning.
func TestAGoneClaimHasNoWarning(t *testing.T) {
	d := newDenied(t, accept)
	for len(d.pods()) == 0 {
		_, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		d.must(err)
		for d.provision() || d.bind() {
		}
	}
	before := &corev1.PersistentVolumeClaim{}
	d.must(d.api.Get(t.Context(), claimKey, before))
	_ = d.told()
	d.must(d.api.Delete(t.Context(), before.DeepCopy()))
	for _, p := range d.pods() {
		d.must(d.api.Delete(t.Context(), &p))
	}
	d.r.Client = d.remembering(before)
	for range 3 { // The first records the failure, the next would tell it.
		_, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		d.must(err)
	}
	if told := d.told(); told != "" {
		t.Errorf("told:\n%s", told)
	}
}
