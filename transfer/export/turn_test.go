// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/movers"
)

// A run that has begun a moment ago keeps another from its place, which would come first by its name, also if no cache
// shows that it has begun. When it is gone, the other begins.
func TestNoRunBeginsBesideAnother(t *testing.T) {
	for name, movers := range map[string]int{"its mover says so": 1, "its mover is gone, and its status says so": 0} {
		b := newBench(t, complete, 0, false)
		b.slow = true
		b.change(func(e *v1alpha1.S3Export) { e.Spec.Destination.Prefix = "shared/" })
		other := &v1alpha1.S3Export{Spec: *b.export().Spec.DeepCopy()}
		other.ObjectMeta = metav1.ObjectMeta{Namespace: key.Namespace, Name: "another", UID: "e-2"}
		r := b.reconciler(b.manager())
		r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if o.GetLabels()[v1alpha1.LabelRole] == v1alpha1.RoleExport {
					if leave, _ := r.begins.enter(ctx, other, b.now); leave != nil {
						t.Errorf("%s: another may begin while %s is made", name, o.GetName())
						leave()
					}
				}
				return c.Create(ctx, o, opts...)
			},
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				err := c.List(ctx, list, opts...)
				if all, ok := list.(*v1alpha1.S3ExportList); ok {
					for i := range all.Items {
						all.Items[i].Status = v1alpha1.S3ExportStatus{}
					}
				}
				return err
			},
		})
		look := func() {
			t.Helper()
			_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(other)})
			must(t, err)
		}
		b.made(r)
		must(t, b.client.Create(t.Context(), other))
		if e := b.export(); movers > 0 {
			e.Status = v1alpha1.S3ExportStatus{}
			must(t, b.client.Status().Update(t.Context(), e))
		} else {
			b.force()
		}
		for range 3 { // The first has the finalizer written.
			look()
		}
		must(t, b.client.Get(t.Context(), client.ObjectKeyFromObject(other), other))
		c := meta.FindStatusCondition(other.Status.Conditions, v1alpha1.ConditionComplete)
		if b.pods() != movers || c == nil || c.Reason != string(v1alpha1.ReasonDestinationInUse) {
			t.Fatalf("%s: there are %d movers, and the other says %+v", name, b.pods(), c)
		}
		must(t, b.client.Delete(t.Context(), b.export()))
		for range 10 {
			b.stepOf(r)
			look()
		}
		must(t, b.client.Get(t.Context(), client.ObjectKeyFromObject(other), other))
		if other.Status.Attempts != 1 {
			t.Errorf("%s: it is gone: %t, and the other says %+v", name, b.export() == nil, other.Status.Conditions)
		}
	}
}

// Runs of one namespace begin one after the other, and those of others at any time. A mover that may be there yet keeps
// the place for its own run.
func TestTurns(t *testing.T) {
	var b begins
	of := func(namespace, uid string) *v1alpha1.S3Export {
		return &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, UID: types.UID(uid)}}
	}
	now := time.Now()
	may := func(e *v1alpha1.S3Export, after time.Duration) bool {
		leave, again := b.enter(t.Context(), e, now.Add(after))
		if leave != nil {
			leave()
		}
		if (leave == nil) != (again > 0) {
			t.Errorf("it is asked again after %s", again)
		}
		return leave != nil
	}
	one, another, elsewhere := of("team", "1"), of("team", "2"), of("other", "3")
	leave, _ := b.enter(t.Context(), one, now)
	if leave == nil || may(another, 0) || !may(elsewhere, 0) {
		t.Error("while one begins, another of its namespace does, or one of another namespace does not")
	}
	leave()
	pods := corev1.Resource("pods")
	for name, tt := range map[string]struct {
		err  error
		kept bool
	}{
		"there is no answer":      {errors.New("the connection broke"), true},
		"it took too long":        {apierrors.NewTimeoutError("x", 1), true},
		"its storage had trouble": {apierrors.NewInternalError(errors.New("etcdserver: request timed out")), true},
		"it was made":             {nil, false},
		"a policy forbids it":     {apierrors.NewForbidden(pods, "x", errors.New("no")), false},
		"a webhook is down":       {apierrors.NewInternalError(errors.New(`failed calling webhook "w": refused`)), false},
		"there are too many":      {apierrors.NewTooManyRequests("x", 1), false},
		"a pod has the name":      {&movers.UnusableError{Reason: v1alpha1.ReasonMoverRefused}, false},
	} {
		b = begins{}
		b.answered(one, tt.err, now)
		if may(another, 0) == tt.kept || !may(one, 0) || !may(elsewhere, 0) || !may(another, doubtFor) {
			t.Errorf("%s: a mover that may be there keeps no place, or keeps it from its own run, others, or for ever", name)
		}
		b.answered(one, tt.err, now.Add(doubtFor/2))
		if !may(another, doubtFor) {
			t.Errorf("%s: a run that tries again keeps the place for ever", name)
		}
		b.answered(one, nil, now)
		if !may(another, 0) {
			t.Errorf("%s: a mover that is there keeps the place", name)
		}
	}
}

// Who waits for another's turn is told of it, without an event, and begins after that. A run that needs no turn takes
// none.
func TestWhoWaitsForATurnIsToldOfIt(t *testing.T) {
	for prefix, waits := range map[string]bool{"shared/": true, "own/{{.Run}}/": false} {
		b := newBench(t, complete, 0, false)
		b.slow = true
		b.change(func(e *v1alpha1.S3Export) { e.Spec.Destination.Prefix = prefix })
		r := b.reconciler(b.manager())
		b.stepOf(r) // Its finalizer is written.
		r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
			Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
				return errors.New("the connection broke")
			},
		})
		b.stepOf(r)
		another := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, UID: "another"}}
		if leave, _ := r.begins.enter(t.Context(), another, b.now); (leave == nil) != waits {
			t.Fatalf("%s: without an answer to its mover, another one may begin: %t", prefix, leave != nil)
		}
		told := events.NewFakeRecorder(10)
		r = b.reconciler(b.manager())
		r.Events = told
		r.begins.answered(another, errors.New("the connection broke"), b.now)
		b.stepOf(r)
		c := meta.FindStatusCondition(b.export().Status.Conditions, v1alpha1.ConditionComplete)
		if !waits {
			if b.pods() != 1 {
				t.Errorf("%s: it waits: %+v", prefix, c)
			}
			continue
		}
		if b.pods() > 0 || len(told.Events) > 0 || c == nil || c.Reason != string(v1alpha1.ReasonDestinationInUse) ||
			!strings.Contains(c.Message, "is being started") {
			t.Fatalf("%s: %d movers, %d events, and told is %+v", prefix, b.pods(), len(told.Events), c)
		}
		b.now = b.now.Add(doubtFor)
		b.made(r)
	}
}

// A run that was suspended while it waited for its turn makes no mover, whatever the cache says.
func TestARunThatWasSuspendedMeanwhile(t *testing.T) {
	b := newBench(t, complete, 0, false)
	b.slow = true
	b.change(func(e *v1alpha1.S3Export) { e.Spec.Destination.Prefix = "shared/" })
	r := b.reconciler(b.manager())
	b.stepOf(r) // Its finalizer is written.
	before := b.export()
	b.change(func(e *v1alpha1.S3Export) { e.Spec.Suspend = true })
	sees := r.Client
	hides(r, false, before)
	for range 3 {
		b.stepOf(r)
	}
	if b.pods() > 0 {
		t.Fatal("it made a mover")
	}
	r.Client = sees
	b.change(func(e *v1alpha1.S3Export) { e.Spec.Suspend = false })
	b.made(r)
}
