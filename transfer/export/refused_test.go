// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// A mover that is refused is asked for every 30 s, and not also because the status that tells of it wakes its export.
func TestARefusedMoverIsAskedForOnce(t *testing.T) {
	b := newBench(t, complete, 0, false)
	asked, refuses := 0, true
	r := b.reconciler(interceptor.NewClient(b.manager().(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if _, ok := o.(*corev1.Pod); ok && refuses {
				asked++
				return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, o.GetName(), errors.New("exceeded quota"))
			}
			return c.Create(ctx, o, opts...)
		},
	}))
	look := func() ctrl.Result {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		must(t, err)
		return result
	}
	for range 10 {
		if asked == 0 {
			look()
		}
	}
	for n := 1; n <= 3; n++ {
		for range 3 { // Woken by what it has written itself.
			if result := look(); result.RequeueAfter != 30*time.Second {
				t.Errorf("time %d: it is looked at again in %s", n, result.RequeueAfter)
			}
			b.now = b.now.Add(50 * time.Millisecond)
		}
		if s := b.export().Status; asked != n || len(s.Conditions) == 0 ||
			s.Conditions[0].Reason != string(v1alpha1.ReasonMoverRefused) {
			t.Fatalf("time %d: it was asked for %d times, the status is %+v", n, asked, s)
		}
		b.now = b.now.Add(30 * time.Second)
	}
	refuses = false
	look()
	if b.pods() != 1 {
		t.Errorf("nothing refuses it any more, and there are %d pods", b.pods())
	}
}
