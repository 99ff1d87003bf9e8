// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/movers"
)

// noted writes down what an import loads, as the pass before that of its first mover does.
func (b *bench) noted(name string) {
	b.t.Helper()
	i := b.find(name)
	i.Status.Selection = &v1alpha1.ImportSelection{Server: "http://s3.test", Bucket: "models"}
	if err := b.client.Status().Update(b.t.Context(), i); err != nil {
		b.t.Fatal(err)
	}
}

// A mover that no cache shows yet, which the manager before has made, keeps another import from its claim all the same.
// What is told is who it is; and that one may begin when it has ended.
func TestMoverThatNoCacheShows(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("first"), newImport("second"))
	b.slow = true
	b.noted("first")
	b.step(b.manager(), "first")
	if len(b.pods()) != 1 {
		t.Fatalf("there are %d movers", len(b.pods()))
	}
	first := b.find("first")
	if err := b.client.Delete(t.Context(), first); err != nil { // So that it is not ahead as an import.
		t.Fatal(err)
	}
	b.noted("second")
	r := b.manager()
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, pods := list.(*corev1.PodList); pods {
				return nil
			}
			return c.List(ctx, list, opts...)
		},
	})
	for range 2 { // The second time, too: who was let in first is not remembered for good.
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: keyOf("second")}); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(b.find("second").Status.Conditions, v1alpha1.ConditionComplete)
		if len(b.pods()) != 1 || c == nil || c.Reason != string(v1alpha1.ReasonClaimImporting) ||
			!strings.Contains(c.Message, b.pods()[0].Name) {
			t.Fatalf("there are %d movers, told is %+v", len(b.pods()), c)
		}
	}
	if other := r.turns.take("c-1", keyOf("third")); other != "" {
		t.Errorf("%s has taken the turn of others, and does not move", other)
	}
	r.turns.leave(keyOf("third"))
	pod := b.pods()[0]
	if err := b.client.Delete(t.Context(), &pod); err != nil {
		t.Fatal(err)
	}
	b.step(r, "second")
	if b.movers != 2 {
		t.Errorf("%d movers have run", b.movers)
	}
}

// A mover that the cache of pods does not show yet, while that of imports has what was noted of it, is not counted
// again.
func TestAMoverThatNoCacheShowsIsCountedOnce(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("first"))
	b.slow = true
	b.noted("first")
	r := b.manager()
	b.step(r, "first")
	cached := r.Client
	r.Client = interceptor.NewClient(cached.(client.WithWatch), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			if _, isPod := o.(*corev1.Pod); isPod {
				return apierrors.NewNotFound(corev1.Resource("pods"), key.Name)
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	b.step(r, "first")
	if got := b.find("first").Status.Attempts; got != 1 || len(b.pods()) != 1 {
		t.Errorf("%d attempts are counted, of %d movers", got, len(b.pods()))
	}
}

// An import whose mover the API server refuses, as by a quota, keeps no other one from the claim.
func TestARefusedMoverLeavesItsTurn(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("a"), newImport("b"))
	r := b.manager()
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if o.GetAnnotations()[v1alpha1.AnnotationImport] == "a" {
				return apierrors.NewForbidden(corev1.Resource("pods"), o.GetName(), errors.New("exceeded quota: pods"))
			}
			return c.Create(ctx, o, opts...)
		},
	})
	for range 6 {
		b.step(r, "a")
		b.step(r, "b")
	}
	if phase := b.find("b").Status.Phase; phase != v1alpha1.ImportSucceeded {
		t.Errorf("behind one that is refused, an import is %s: %+v", phase, b.find("b").Status.Conditions)
	}
	c := meta.FindStatusCondition(b.find("a").Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil || c.Reason != string(v1alpha1.ReasonMoverRefused) {
		t.Errorf("the one that is refused says %+v", c)
	}
}

// A mover that may be there all the same keeps its turn.
func TestNotMade(t *testing.T) {
	pods := corev1.Resource("pods")
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"it was made":                {nil, false},
		"a quota":                    {apierrors.NewForbidden(pods, "a", errors.New("exceeded quota")), true},
		"no answer in time":          {apierrors.NewServerTimeout(pods, "create", 1), false},
		"no connection":              {errors.New("EOF"), false},
		"somebody's pod":             {&movers.UnusableError{Reason: v1alpha1.ReasonMoverRefused}, true},
		"ours, whose labels changed": {&movers.UnusableError{Reason: v1alpha1.ReasonLabelsChanged}, false},
	} {
		if got := notMade(tt.err); got != tt.want {
			t.Errorf("%s: not made %t, want %t", name, got, tt.want)
		}
	}
}

// An import that a manager let into a claim a moment ago is known before any cache shows it.
func TestTurnsAreKnownAtOnce(t *testing.T) {
	var turns turns
	if other := turns.take("c-1", keyOf("a")); other != "" {
		t.Errorf("%s is in a claim that nobody entered", other)
	}
	if other := turns.take("c-1", keyOf("b")); other != "a" {
		t.Errorf("beside a, b is told of %q", other)
	}
	if again, elsewhere := turns.take("c-1", keyOf("a")), turns.take("c-2", keyOf("b")); again+elsewhere != "" {
		t.Errorf("a itself is told of %q, and another claim of %q", again, elsewhere)
	}
	turns.leave(keyOf("a"))
	if other := turns.take("c-1", keyOf("b")); other != "" {
		t.Errorf("%s is still in the claim", other)
	}
}
