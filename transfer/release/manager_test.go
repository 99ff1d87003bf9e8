// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// After one that was killed while the manager was stopped, the next one starts it, because it waits for its work.
func TestAReleaseThatWasKilled(t *testing.T) {
	s := newServer(t, claim("going", true, v1alpha1.FinalizerFinalExport))
	r := Release{Client: s, Namespace: "system", Deployment: "manager", Out: &strings.Builder{}}
	if err := r.stop(t.Context()); err != nil || s.replicas(t) != 0 {
		t.Fatalf("%v: replicas %d", err, s.replicas(t))
	}
	if out, err := s.run(t); !errors.Is(err, errUnsafe) || s.replicas(t) != 2 {
		t.Errorf("%v: replicas %d\n%s", err, s.replicas(t), out)
	}
}

// Somebody has started the manager since, with as many as that one wants.
func TestAManagerThatWasStartedByHand(t *testing.T) {
	s := newServer(t, claim("going", true, v1alpha1.FinalizerFinalExport))
	r := Release{Client: s, Namespace: "system", Deployment: "manager", Out: &strings.Builder{}}
	if err := r.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, err := r.deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.Spec.Replicas = new(int32(3))
	if err := s.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run(t); !errors.Is(err, errUnsafe) || s.replicas(t) != 3 {
		t.Errorf("%v: replicas %d", err, s.replicas(t))
	}
	if d, err := r.deployment(t.Context()); err != nil || d.Annotations[v1alpha1.AnnotationReplicas] != "" {
		t.Errorf("it counts as stopped: %v (%v)", d.Annotations, err)
	}
}

// The API server refuses to start the manager: once is of no account, and for ever is told.
func TestAManagerThatCannotBeStarted(t *testing.T) {
	for name, tt := range map[string]struct {
		refusals int
		patience time.Duration
		off      bool
		replicas int32
	}{"for a moment": {3, 0, false, 2}, "for ever": {1e6, 50 * time.Millisecond, true, 0}} {
		s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport))
		s.startPatience = tt.patience
		s.during = func() {
			_ = s.Delete(t.Context(), claim("a", false)) // So that it is needed.
			inner := s.WithWatch
			s.WithWatch = interceptor.NewClient(inner, interceptor.Funcs{Patch: func(
				ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
			) error {
				if _, ok := o.(*appsv1.Deployment); ok && tt.refusals > 0 {
					tt.refusals--
					return errors.New("not now")
				}
				return c.Patch(ctx, o, p, opts...)
			}})
			s.during = nil
		}
		out, err := s.run(t)
		if !errors.Is(err, errUnsafe) || errors.Is(err, errOff) != tt.off || s.replicas(t) != tt.replicas ||
			strings.Contains(out, "the manager goes on") == tt.off ||
			strings.Contains(err.Error(), "kubectl -n system scale deployment manager") != tt.off {
			t.Errorf("%s: %v: replicas %d\n%s", name, err, s.replicas(t), out)
		}
	}
}

// Whoever interrupts Helm finds the manager stopped and the release still there, and reads how to start it.
func TestAReleaseTellsHowToStartTheManagerAgain(t *testing.T) {
	s := newServer(t)
	const want = "to start it again: kubectl -n system scale deployment manager --replicas=2\n"
	if out, err := s.run(t); err != nil || !strings.Contains(out, want) {
		t.Errorf("does not say %q (%v):\n%s", want, err, out)
	}
}
