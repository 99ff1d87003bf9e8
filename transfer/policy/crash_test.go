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

// pass lets a process look once at what it sees of a server.
func pass(t *testing.T, p *kubetest.Process, sees client.WithWatch, live client.Reader, now time.Time) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	p.End = end
	r := &Reconciler{
		Client: p.Client(sees), Live: live, Events: events.NewFakeRecorder(1000), Now: func() time.Time { return now },
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
