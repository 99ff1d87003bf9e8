// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/places"
)

func forbidden(why string) error {
	return apierrors.NewForbidden(corev1.Resource("pods"), "inventory-1", errors.New(why))
}

// What the user can act on is told at once; what passes by itself is told when it lasts,
// unless a verdict stands.
func TestRefused(t *testing.T) {
	t.Parallel()
	webhook := apierrors.NewInternalError(errors.New("failed calling webhook"))
	newKind := forbidden(
		"cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion " +
			"s3populator.io/v1alpha1 Kind S3Source",
	)
	young := func(s *state) { s.Source.CreationTimestamp = metav1.NewTime(noon.Add(-time.Second)) }
	cases := map[string]struct {
		err    error
		source change
		reason v1alpha1.Reason
		again  bool // as an error, with back-off
	}{
		"made": {},
		"a policy": {
			err:    forbidden("violates PodSecurity"),
			source: young,
			reason: v1alpha1.ReasonInventoryRefused,
		},
		"a quota":        {err: forbidden("exceeded quota"), reason: v1alpha1.ReasonInventoryRefused},
		"an invalid pod": {err: apierrors.NewBadRequest("no"), reason: v1alpha1.ReasonInventoryRefused},
		"a pod that is too large": {
			err:    apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
			reason: v1alpha1.ReasonInventoryRefused,
		},
		"a kind defined just now":             {err: newKind, source: young, again: true},
		"a server in trouble":                 {err: webhook, source: young, again: true},
		"a server in trouble, for long":       {err: webhook, reason: v1alpha1.ReasonInventoryRefused},
		"a server in trouble while refreshed": {err: webhook, source: verdict(metav1.ConditionTrue)},
		"a connection that breaks, for long":  {err: errors.New("EOF"), reason: v1alpha1.ReasonInventoryRefused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world()
			if c.source != nil {
				c.source(&s)
			}
			d, err := refused(s, decision{Action: startPod}, "create pod inventory-u", c.err)
			if d.Reason != c.reason || (err != nil) != c.again {
				t.Errorf("got reason %q and error %v, want %q and an error: %v", d.Reason, err, c.reason, c.again)
			}
			if c.err != nil && !c.again && d.Recheck == 0 {
				t.Error("nothing looks again")
			}
		})
	}
}

// reconciled is what a source says after a pass in which creates are answered by an API
// server that does as told.
func reconciled(
	t *testing.T,
	create func(context.Context, client.WithWatch, client.Object) error,
) (*v1alpha1.S3Source, ctrl.Result) {
	t.Helper()
	scheme := runtime.NewScheme()
	_, _ = clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)
	source := world().Source
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(source).WithStatusSubresource(source).Build()
	live := c
	cached := interceptor.NewClient(c, interceptor.Funcs{ // Shows pods with our label only, as the manager's does.
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
			opts ...client.GetOption,
		) error {
			err := c.Get(ctx, key, o, opts...)
			if p, ok := o.(*corev1.Pod); ok && err == nil && p.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
				return apierrors.NewNotFound(corev1.Resource("pods"), key.Name)
			}
			return err
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			return create(ctx, c, o)
		},
	})
	r := &Reconciler{
		Client: cached, Live: live, Events: events.NewFakeRecorder(100), Image: moverpod.Image{Name: "mover"},
		Now: func() time.Time { return noon }, Places: places.Office{Cache: cached, Now: time.Now},
	}
	var result ctrl.Result
	for range 3 {
		var err error
		if result, err = r.Reconcile(t.Context(),
			ctrl.Request{NamespacedName: client.ObjectKeyFromObject(source)}); err != nil {
			t.Fatal(err)
		}
	}
	now := &v1alpha1.S3Source{}
	if err := live.Get(t.Context(), client.ObjectKeyFromObject(source), now); err != nil {
		t.Fatal(err)
	}
	return now, result
}

// A listing that no watch shows must not leave its source saying that it is being listed.
func TestAPodThatNobodySeesIsTold(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		create func(context.Context, client.WithWatch, client.Object) error
		reason v1alpha1.Reason
		says   string
	}{
		"a policy takes the label off": {func(ctx context.Context, c client.WithWatch, o client.Object) error {
			labels := o.GetLabels()
			delete(labels, v1alpha1.LabelManagedBy)
			o.SetLabels(labels)
			return c.Create(ctx, o)
		}, v1alpha1.ReasonLabelsChanged, "kubectl delete pod inventory-u"},
		"somebody's pod has the name": {func(ctx context.Context, c client.WithWatch, o client.Object) error {
			o.SetLabels(nil)
			o.SetOwnerReferences(nil)
			_ = c.Create(ctx, o.DeepCopyObject().(client.Object))
			return apierrors.NewAlreadyExists(corev1.Resource("pods"), o.GetName())
		}, v1alpha1.ReasonInventoryRefused, "was not made for this source"},
		"a webhook is down": {func(context.Context, client.WithWatch, client.Object) error {
			return apierrors.NewInternalError(errors.New("failed calling webhook"))
		}, v1alpha1.ReasonInventoryRefused, "failed calling webhook"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, result := reconciled(t, c.create)
			if len(source.Status.Conditions) != 1 || source.Status.Conditions[0].Reason != string(c.reason) ||
				!strings.Contains(source.Status.Conditions[0].Message, c.says) {
				t.Errorf("conditions %+v", source.Status.Conditions)
			}
			if result.RequeueAfter != refusalDelay {
				t.Errorf("looked at again after %s", result.RequeueAfter)
			}
		})
	}
}

// A source that was deleted takes its pod with it. A cache that shows the one and not the other makes no warning.
func TestAGoneSourceHasNoWarning(t *testing.T) {
	told, scheme := events.NewFakeRecorder(10), runtime.NewScheme()
	_ = v1alpha1.AddToScheme(scheme)
	r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme).Build(), Events: told}
	d := decision{Status: metav1.ConditionFalse, Reason: v1alpha1.Reason(wire.Interrupted), Message: "It was deleted."}
	if err := r.report(t.Context(), world(), d); err != nil || len(told.Events) > 0 {
		t.Errorf("told are %d, %v", len(told.Events), err)
	}
}
