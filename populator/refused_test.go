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
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/protocol"
)

// denied is a cluster whose API server does not accept some writes of ours. Its reconciler
// lives on from pass to pass, as in a manager.
type denied struct {
	*simulator
	r      *Reconciler
	events *events.FakeRecorder
	// deny returns what the API server says to a write; nil accepts it. A verb is create,
	// delete, patch or patch status.
	deny func(verb string, o client.Object) error
	// tries are the times at which a write was denied.
	tries []time.Time
}

func newDenied(t *testing.T, deny func(verb string, o client.Object) error, changes ...change) *denied {
	t.Helper()
	d := &denied{simulator: newSimulator(t, changes...), deny: deny, events: events.NewFakeRecorder(1000)}
	d.reports = []wire.Report{doneReport}
	d.ours = interceptor.NewClient(d.ours, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return d.ask("create", o, func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return d.ask("delete", o, func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch,
			opts ...client.PatchOption,
		) error {
			return d.ask("patch", o, func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			return d.ask("patch "+sub, o, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
	o := testOptions()
	o.Now = func() time.Time { return d.now }
	d.r = &Reconciler{Client: d.ours, Live: d.ours, Events: d.events, Options: o}
	return d
}

func (d *denied) ask(verb string, o client.Object, do func() error) error {
	if err := d.deny(verb, o); err != nil {
		d.tries = append(d.tries, d.now)
		return err
	}
	return do()
}

// run plays for a while, with passes when the reconciler asks for them and, as a cluster
// full of watch events would, every two seconds.
func (d *denied) run(length time.Duration) {
	d.t.Helper()
	for end := d.now.Add(length); d.now.Before(end); d.now = d.now.Add(2 * time.Second) {
		if _, err := d.r.Reconcile(d.t.Context(), ctrl.Request{NamespacedName: claimKey}); err != nil {
			d.t.Fatalf("an error leaves the pace to controller-runtime: %v", err)
		}
		d.play()
	}
}

func (d *denied) condition() corev1.PersistentVolumeClaimCondition {
	c := &corev1.PersistentVolumeClaim{}
	d.must(d.api.Get(d.t.Context(), claimKey, c))
	was, _ := protocol.Populated(c)
	return was
}

// told are the events so far.
func (d *denied) told() string {
	var all strings.Builder
	for {
		select {
		case e := <-d.events.Events:
			all.WriteString(e + "\n")
		default:
			return all.String()
		}
	}
}

var (
	errPolicy = apierrors.NewForbidden(
		schema.GroupResource{Resource: "things"},
		"x",
		errors.New("ValidatingAdmissionPolicy 'four-eyes' denied the request:\n  nobody asked"),
	)
	errTooLarge  = apierrors.NewRequestEntityTooLargeError("limit is 3145728")
	errNoWebhook = apierrors.NewInternalError(errors.New(`failed calling webhook "check.example.com": connection refused`))
	errNoSuchPod = apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "populate")
	errTooMany   = apierrors.NewTooManyRequests("please slow down", 1)
)

// Every write of the protocol that the API server refuses is told on the claim, in its
// words, and repeated at least once a minute, and not much more often.
func TestARefusedWriteIsTold(t *testing.T) {
	populated := func(o client.Object) bool { return o.GetAnnotations()[v1alpha1.AnnotationScratchFor] != "" }
	writes := map[string]struct {
		verb  string
		is    func(client.Object) bool
		setUp func(*denied)
		says  string
	}{
		"the mark of a scratch volume": {
			"patch",
			func(o client.Object) bool { _, ok := o.(*corev1.PersistentVolume); return ok && !populated(o) },
			retaining,
			"reclaim policy",
		},
		"the mark of a filled prime": {"patch", isPrime, nil, "complete"},
		"the end of a mover": {
			"delete",
			func(o client.Object) bool { _, ok := o.(*corev1.Pod); return ok },
			nil,
			"delete pod",
		},
		"the record of a failure": {"patch", isPrime, failing, "ended"},
	}
	for name, w := range writes {
		for kind, answer := range map[string]error{
			"policy": errPolicy, "413": errTooLarge, "webhook": errNoWebhook,
			"429": errTooMany,
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				d := newDenied(t, func(verb string, o client.Object) error {
					if verb == w.verb && w.is(o) {
						return answer
					}
					return nil
				})
				if w.setUp != nil {
					w.setUp(d)
				}
				d.run(5 * time.Minute)
				c := d.condition()
				if c.Reason != string(v1alpha1.ReasonWriteRefused) || c.Status != corev1.ConditionUnknown {
					t.Fatalf("the condition is %s %s: %s", c.Status, c.Reason, c.Message)
				}
				if !strings.Contains(c.Message, w.says) || !strings.Contains(c.Message, words(answer)) ||
					strings.Contains(c.Message, "\n") {
					t.Errorf("message %q", c.Message)
				}
				d.pace(t)
				d.deny = func(string, client.Object) error { return nil }
				d.run(3 * time.Minute)
				if c := d.condition(); c.Status != corev1.ConditionTrue && w.setUp == nil {
					t.Errorf("after the cause is gone the condition is %s %s: %s", c.Status, c.Reason, c.Message)
				}
			})
		}
	}
}

// pace asserts how often a write was tried.
func (d *denied) pace(t *testing.T) {
	t.Helper()
	if n := len(d.tries); n > 15 {
		t.Errorf("%d tries in five minutes", n)
	}
	for i := 1; i < len(d.tries); i++ {
		if rest := d.tries[i].Sub(d.tries[i-1]); rest > time.Minute+2*time.Second {
			t.Errorf("%s passed between two tries", rest)
		}
	}
	if rest := d.now.Sub(d.tries[len(d.tries)-1]); rest > time.Minute+2*time.Second {
		t.Errorf("the last try was %s ago", rest)
	}
}

func isPrime(o client.Object) bool { return strings.HasPrefix(o.GetName(), protocol.PrimePrefix) }

func isImport(o client.Object) bool { _, ok := o.(*v1alpha1.S3Import); return ok }

func retaining(d *denied) { d.policy = corev1.PersistentVolumeReclaimRetain }

func failing(d *denied) {
	d.reports = []wire.Report{{Class: wire.Retry, Reason: wire.TransferFailed, Message: "No luck."}}
}

// What passes by itself within seconds is not worth a write to the claim.
func TestAShortOutageIsNotTold(t *testing.T) {
	d := newDenied(t, func(string, client.Object) error { return errNoWebhook })
	d.run(transientPatience - time.Second)
	d.deny = func(string, client.Object) error { return nil }
	if told := d.told(); told != "" {
		t.Errorf("told: %s", told)
	}
	d.run(2 * time.Minute)
	if c := d.condition(); c.Status != corev1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
	if told := d.told(); strings.Contains(told, "WriteRefused") {
		t.Errorf("told: %s", told)
	}
}

// An S3Import that cannot be written, by quota or for any other reason, holds nothing up: the
// claim is told to be complete, its prime goes, and one event says what is missing.
func TestAnImportHoldsNothingUp(t *testing.T) {
	quota := apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.Group, Resource: "s3imports"}, "data",
		errors.New("exceeded quota: few, requested: count/s3imports.s3populator.io=1, used: 0, limited: 0"))
	for _, verb := range []string{"create", "patch status"} {
		for kind, answer := range map[string]error{"quota": quota, "webhook": errNoWebhook} {
			t.Run(verb+", "+kind, func(t *testing.T) {
				d := newDenied(t, func(v string, o client.Object) error {
					if v == verb && isImport(o) {
						return answer
					}
					return nil
				})
				d.run(3 * time.Minute)
				if c := d.condition(); c.Status != corev1.ConditionTrue {
					t.Errorf("condition %+v", c)
				}
				if n := len(d.claims()); n != 1 {
					t.Errorf("%d claims are left", n)
				}
				if told := d.told(); strings.Count(told, "WriteRefused") != 1 || !strings.Contains(told, "PopulationSucceeded") {
					t.Errorf("told:\n%s", told)
				}
			})
		}
	}
}

// A condition that cannot be written is an event, and the protocol goes on.
func TestARefusedConditionIsAnEvent(t *testing.T) {
	d := newDenied(t, func(verb string, o client.Object) error {
		if _, ok := o.(*corev1.PersistentVolumeClaim); ok && verb == "patch status" {
			return errPolicy
		}
		return nil
	})
	d.run(3 * time.Minute)
	told := d.told()
	if !strings.Contains(told, "WriteRefused") || !strings.Contains(told, "PopulationSucceeded") {
		t.Errorf("told:\n%s", told)
	}
	if strings.Count(told, "PopulationSucceeded") != 1 {
		t.Errorf("told more than once:\n%s", told)
	}
	c := &corev1.PersistentVolumeClaim{}
	d.must(d.api.Get(t.Context(), claimKey, c))
	if !protocol.Bound(c) {
		t.Error("the claim is not bound")
	}
}

// A prime that may not be deleted does not make a complete claim look incomplete.
func TestARefusedTidyingIsAnEvent(t *testing.T) {
	d := newDenied(t, func(verb string, o client.Object) error {
		if verb == "delete" && isPrime(o) {
			return errPolicy
		}
		return nil
	})
	d.run(5 * time.Minute)
	if c := d.condition(); c.Status != corev1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
	if told := d.told(); strings.Count(told, "WriteRefused") != 1 {
		t.Errorf("told:\n%s", told)
	}
	d.pace(t)
}

// A view that stays older than the API server's neither loops five times a second nor stays
// unexplained.
func TestAStaleViewSlowsDown(t *testing.T) {
	conflict := apierrors.NewConflict(
		schema.GroupResource{Resource: "persistentvolumeclaims"},
		"s3prime",
		errors.New("the object has been modified"),
	)
	d := newDenied(t, func(verb string, o client.Object) error {
		if verb == "patch" && isPrime(o) {
			return conflict
		}
		return nil
	})
	passes := 0
	for end := d.now.Add(10 * time.Minute); d.now.Before(end); passes++ {
		result, err := d.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: claimKey})
		d.must(err)
		for d.play() {
		}
		d.now = d.now.Add(max(result.RequeueAfter, 50*time.Millisecond))
	}
	if passes > 60 {
		t.Errorf("%d passes in ten minutes", passes)
	}
	if c := d.condition(); c.Reason != string(v1alpha1.ReasonWriteRefused) || !strings.Contains(c.Message, "modified") {
		t.Errorf("condition %+v", c)
	}
}

func TestWordsAreBounded(t *testing.T) {
	w := words(fmt.Errorf("a\nb %s", strings.Repeat("é", 4000)))
	if len(w) > wordsLimit+len("…") || strings.Contains(w, "\n") || !strings.HasPrefix(w, "a b é") {
		t.Errorf("%d bytes: %q", len(w), w[:20])
	}
}
