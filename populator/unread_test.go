// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// mute is a live reader that answers neither for events nor, if told so, for volumes.
type mute struct {
	client.Reader
	events, volumes error
}

func (m *mute) List(ctx context.Context, l client.ObjectList, opts ...client.ListOption) error {
	if _, ok := l.(*corev1.EventList); ok && m.events != nil {
		return m.events
	}
	return m.Reader.List(ctx, l, opts...)
}

func (m *mute) Get(ctx context.Context, k client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if _, ok := o.(*corev1.PersistentVolume); ok && m.volumes != nil {
		return m.volumes
	}
	return m.Reader.Get(ctx, k, o, opts...)
}

// Who may not list events is told less of a wait, and that is all.
func TestEventsThatCannotBeReadHoldNothingUp(t *testing.T) {
	w := newWatched(t)
	claim := w.waitingMover(func(p *corev1.Pod) { p.Spec.NodeName = "a" }).Claim
	w.r.Live = &mute{Reader: w.api, events: errPolicy}
	if s := w.observe(claim); s.Mover == nil || s.Trouble != "" {
		t.Errorf("observed mover %v, trouble %q", s.Mover, s.Trouble)
	}
}

// A volume of which the cache says nothing is asked for live. An API server that does not
// answer is told of within 20 s, and the claim goes on when it does.
func TestAnAPIServerThatDoesNotAnswerIsTold(t *testing.T) {
	timeout := apierrors.NewTimeoutError("etcd does not answer", 1)
	forbidden := apierrors.NewForbidden(
		schema.GroupResource{Resource: "persistentvolumes"},
		"pv-1",
		errors.New("no rights"),
	)
	for name, answer := range map[string]error{
		"forbidden": forbidden, "timeout": timeout,
		"connection": errors.New("EOF"),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDenied(t, func(string, client.Object) error { return nil })
			live := &mute{Reader: d.ours, volumes: answer}
			d.r.Live = live
			prime := world(withPrime).Prime
			prime.ResourceVersion, prime.Spec.VolumeName = "", "pv-1"
			delete(prime.Annotations, v1alpha1.AnnotationPopulated)
			d.must(d.api.Create(t.Context(), prime))
			passes := 0
			for begin := d.now; d.now.Before(begin.Add(20 * time.Second)); passes++ {
				result, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
				d.must(err)
				d.now = d.now.Add(max(result.RequeueAfter, 50*time.Millisecond))
			}
			if c := d.condition(); c.Reason != string(v1alpha1.ReasonReadFailed) || !strings.Contains(c.Message, words(answer)) {
				t.Errorf("the condition is %s %s: %s", c.Status, c.Reason, c.Message)
			}
			if passes > 8 {
				t.Errorf("%d passes in 20 s", passes)
			}
			live.volumes = nil
			d.now = d.now.Add(time.Minute)
			_, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
			d.must(err)
			d.must(d.api.Get(t.Context(), claimKey, &corev1.PersistentVolumeClaim{}))
			if _, still := d.r.setbacks.of[claimKey][readAll]; still {
				t.Error("the failure is remembered after an answer")
			}
		})
	}
}

// A webhook that words each refusal differently is asked every 30 s, not as fast as our own
// condition wakes us; what the user corrects is tried at once.
func TestARefusalWithAnotherWordEachTimeIsNotALoop(t *testing.T) {
	n := 0
	d := newDenied(t, func(verb string, o client.Object) error {
		if _, ok := o.(*corev1.Pod); !ok || verb != "create" {
			return nil
		}
		n++
		return apierrors.NewForbidden(
			schema.GroupResource{Resource: "pods"},
			"x",
			fmt.Errorf("admission webhook denied request %d", n),
		)
	})
	d.reports = []wire.Report{doneReport}
	version := func() string {
		c := &corev1.PersistentVolumeClaim{}
		d.must(d.api.Get(t.Context(), claimKey, c))
		return c.ResourceVersion
	}
	passes := 0
	for end := d.now.Add(5 * time.Minute); d.now.Before(end); passes++ {
		was := version()
		result, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		d.must(err)
		for d.play() {
		}
		if rest := result.RequeueAfter; rest > 0 && version() == was { // A changed claim wakes us.
			d.now = d.now.Add(rest)
		} else {
			d.now = d.now.Add(50 * time.Millisecond)
		}
	}
	if n < 8 || n > 12 {
		t.Errorf("%d tries in five minutes, in %d passes", n, passes)
	}
	if c := d.condition(); c.Reason != string(v1alpha1.ReasonMoverRefused) {
		t.Errorf("condition %+v", c)
	}
	source := &v1alpha1.S3Source{}
	d.must(d.api.Get(t.Context(), client.ObjectKey{Namespace: claimKey.Namespace, Name: "models"}, source))
	source.Generation++
	d.must(d.api.Update(t.Context(), source))
	was := n
	_, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
	d.must(err)
	if n != was+1 {
		t.Errorf("a corrected source led to %d tries", n-was)
	}
}
