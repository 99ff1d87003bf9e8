// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// server holds the objects of a world.
func server(t *testing.T, w *world) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := []client.Object{w.Policy.DeepCopy()}
	for i := range w.Claims {
		objects = append(objects, w.Claims[i].DeepCopy())
	}
	for i := range w.Exports {
		objects = append(objects, w.Exports[i].DeepCopy())
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.S3ExportPolicy{}).WithIndex(&v1alpha1.S3Export{}, byOwner, owner).Build()
}

// uncounted is a label of runs whose mover is complete, in these tests alone.
const uncounted = "uncounted"

// pass lets a process look once at what it sees of a server.
func pass(t *testing.T, p *kubetest.Process, sees client.WithWatch, live client.Reader, now time.Time) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	p.End = end
	r := &Reconciler{
		Client: p.Client(sees), Live: live, Events: events.NewFakeRecorder(1000), Now: func() time.Time { return now },
		Uncounted: func(_ context.Context, e *v1alpha1.S3Export) (bool, error) { return e.Labels[uncounted] != "", nil },
	}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ml", Name: "hourly"}}
	if _, err := r.Reconcile(ctx, request); err != nil && !errors.Is(err, kubetest.ErrEnd) {
		t.Fatal(err)
	}
}

// made are all S3Exports.
func made(t *testing.T, c client.Client) string {
	t.Helper()
	var all v1alpha1.S3ExportList
	if err := c.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range all.Items {
		names = append(names, brief([]*v1alpha1.S3Export{&all.Items[i]}))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestAnEndAtEveryWrite: whichever write of a tick is the last of its process, the next one completes the tick, and
// nothing is made twice.
func TestAnEndAtEveryWrite(t *testing.T) {
	for _, lost := range []bool{true, false} {
		for ends := 1; ; ends++ {
			w := newWorld(hour(4), "a", "b", "c").ran("a", hour(1), v1alpha1.ConditionComplete).
				ran("a", hour(2), v1alpha1.ConditionComplete).ran("a", hour(3), v1alpha1.ConditionComplete).last(hour(3))
			s := server(t, w)
			p := &kubetest.Process{Ends: ends, Lost: lost}
			pass(t, p, s, s, hour(4))
			for range 3 {
				pass(t, &kubetest.Process{}, s, s, hour(4).Add(time.Minute))
			}
			if got := made(t, s); got != "a@2 a@3 a@4 b@4 c@4" {
				t.Errorf("end at write %d (lost: %t): exports %q", ends, lost, got)
			}
			if p.Writes < ends {
				break // All were tried.
			}
		}
	}
}

// TestReplaceEndsNoBackup: a run that is complete by now is not ended for the next one, whatever the cache says, and
// that one begins. It may be complete before the API server is asked, or right after it has answered.
func TestReplaceEndsNoBackup(t *testing.T) {
	for name, tt := range map[string]struct{ before, after, ended, complete bool }{
		"it is active":                           {},
		"it is complete, and no cache shows it":  {before: true, complete: true},
		"it is complete before it is ended":      {after: true, complete: true},
		"its mover is complete, and not counted": {ended: true, complete: true},
	} {
		w := newWorld(hour(2), "a").ran("a", hour(1), "").last(hour(1)).
			spec(func(s *v1alpha1.S3ExportPolicySpec) { s.ConcurrencyPolicy = "Replace" })
		s, old := server(t, w), server(t, w)
		completes := func() {
			e := w.Exports[0].DeepCopy()
			e.Status = *newWorld(hour(2), "a").ran("a", hour(1), v1alpha1.ConditionComplete).Exports[0].Status.DeepCopy()
			mustDo(t, s.Patch(t.Context(), e, client.MergeFrom(&w.Exports[0])))
		}
		if tt.before {
			completes()
		}
		count := func(is string) {
			e := &v1alpha1.S3Export{}
			mustDo(t, s.Get(t.Context(), client.ObjectKeyFromObject(&w.Exports[0]), e))
			e.Labels[uncounted] = is
			mustDo(t, s.Update(t.Context(), e))
		}
		if tt.ended {
			count("yes")
		}
		live := interceptor.NewClient(s, interceptor.Funcs{Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			err := c.Get(ctx, key, o, opts...)
			if _, asked := o.(*v1alpha1.S3Export); asked && tt.after {
				completes()
			}
			return err
		}})
		pass(t, &kubetest.Process{}, kubetest.Cached(s, old), live, hour(2))
		want := ""
		if tt.complete {
			want = "a@1"
		}
		if got := made(t, s); got != want {
			t.Errorf("%s: left are %q, want %q", name, got, want)
		}
		if tt.ended {
			count("")
			completes()
		}
		pass(t, &kubetest.Process{}, s, s, hour(2)) // The tick is looked at, and the next one begins where none is active.
		pass(t, &kubetest.Process{}, s, s, hour(2))
		if got := made(t, s); !strings.Contains(got, "a@2") {
			t.Errorf("%s: there are %q, and not the next one", name, got)
		}
	}
}

// TestTwoManagers: each believes that it leads, and one of them knows nothing of what the other wrote.
func TestTwoManagers(t *testing.T) {
	w := newWorld(hour(1), "a", "b")
	s, old := server(t, w), server(t, w)
	pass(t, &kubetest.Process{}, s, s, hour(1))
	cancelled := &v1alpha1.S3Export{}
	cancelled.Namespace, cancelled.Name = "ml", exportFor(w.Policy, &w.Claims[0], hour(1)).Name
	if err := s.Delete(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pass(t, &kubetest.Process{}, kubetest.Cached(s, old), s, hour(1).Add(time.Second))
		pass(t, &kubetest.Process{}, s, s, hour(1).Add(time.Second))
	}
	if got := made(t, s); got != "b@1" {
		t.Errorf("exports %q, want b@1: a@1 was deleted by its user", got)
	}
}
