// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// before calls what is to happen before a patch of an object, once; an error of it is the answer of the API server.
func (s *server) before(name string, do func() error) {
	inner, done := s.WithWatch, false
	s.WithWatch = interceptor.NewClient(inner, interceptor.Funcs{Patch: func(
		ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
	) error {
		if o.GetName() == name && !done {
			done = true
			if err := do(); err != nil {
				return err
			}
		}
		return c.Patch(ctx, o, p, opts...)
	}})
}

// starts calls what is to be looked at when the manager is started.
func (s *server) starts(look func()) {
	s.WithWatch = interceptor.NewClient(s.WithWatch, interceptor.Funcs{Patch: func(
		ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
	) error {
		if d, ok := o.(*appsv1.Deployment); ok && *d.Spec.Replicas > 0 {
			look()
		}
		return c.Patch(ctx, o, p, opts...)
	}})
}

// A release that turns back leaves nothing without its finalizer: it is back before the manager is, and whoever was
// deleted in between is named.
func TestAReleaseThatTurnsBack(t *testing.T) {
	deletes := func(s *server, names ...string) func() error {
		return func() (err error) {
			for _, name := range names {
				err = errors.Join(err, s.Delete(t.Context(), claim(name, false)))
			}
			return err
		}
	}
	for name, tt := range map[string]struct {
		at   string // The patch before which it happens.
		does func(*server) func() error
		held []string
		says []string
	}{
		"the next claim is deleted": {
			"b", func(s *server) func() error { return deletes(s, "b") },
			[]string{"a", "b", "d", "e"},
			[]string{"holds what it held"},
		},
		"so is the one before": {
			"b", func(s *server) func() error { return deletes(s, "a", "b") },
			[]string{"b", "d", "e"},
			[]string{"not held", "without their export", "claim ml/a"},
		},
		"an S3Export cannot be patched": {
			"e", func(*server) func() error { return func() error { return errors.New("no") } },
			[]string{"a", "b", "d", "e"},
			[]string{"release S3Export ml/e: no"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			held := func(name string) *corev1.PersistentVolumeClaim {
				return claim(name, false, v1alpha1.FinalizerFinalExport)
			}
			s := newServer(t, held("a"), held("b"), export("d", false), export("e", false))
			s.before(tt.at, tt.does(s))
			s.starts(func() {
				if !slices.Equal(s.held(t), tt.held) {
					t.Errorf("the manager starts while %q are held", s.held(t))
				}
			})
			out, err := s.run(t)
			if err == nil || !slices.Equal(s.held(t), tt.held) || s.replicas(t) != 2 {
				t.Fatalf("%v: held are %q, replicas %d\n%s", err, s.held(t), s.replicas(t), out)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "no finalizer was removed") {
				t.Errorf("it denies what it did: %v", err)
			}
		})
	}
}
