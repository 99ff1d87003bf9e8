// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

const foreign = "example.com/foreign"

func claim(name string, deleted bool, finalizers ...string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{}
	c.Namespace, c.Name, c.Finalizers = "ml", name, append([]string{foreign}, finalizers...)
	if deleted {
		c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1e9, 0)}
	}
	return c
}

func export(name string, deleted bool) *v1alpha1.S3Export {
	e := &v1alpha1.S3Export{}
	e.Namespace, e.Name, e.Finalizers = "ml", name, []string{v1alpha1.FinalizerExport, foreign}
	if deleted {
		e.DeletionTimestamp = &metav1.Time{Time: time.Unix(1e9, 0)}
	}
	return e
}

func taken() *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{}
	v.Name, v.Annotations = "pv", map[string]string{v1alpha1.AnnotationFinalExport: `{"name":"gone"}`}
	return v
}

// server is a cluster with a manager of two replicas, whose pods go when it is scaled to nothing.
type server struct {
	client.WithWatch

	stuck  bool   // They do not.
	during func() // Is called when the manager has ended.
	// startPatience is for a manager that cannot be started; zero is long, for one that only is refused for a moment.
	startPatience time.Duration
}

func newServer(t *testing.T, objects ...client.Object) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "manager"}
	d := &appsv1.Deployment{}
	d.Namespace, d.Name, d.Spec.Replicas = "system", "manager", new(int32(2))
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.Labels = "system", "manager-1", labels
	s := &server{}
	s.WithWatch = interceptor.NewClient(
		fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, d, pod)...).Build(),
		interceptor.Funcs{Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
		) error {
			err := c.Patch(ctx, o, p, opts...)
			if d, ok := o.(*appsv1.Deployment); ok && err == nil && *d.Spec.Replicas == 0 && !s.stuck {
				_ = c.Delete(ctx, pod.DeepCopy())
				if s.during != nil {
					s.during()
				}
			}
			return err
		}})
	return s
}

func (s *server) run(t *testing.T) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Release{
		Client: s, Namespace: "system", Deployment: "manager", Patience: 50 * time.Millisecond,
		StopPatience: 50 * time.Millisecond, StartPatience: cmp.Or(s.startPatience, time.Minute),
		Every: time.Millisecond, Out: &out,
	}.Run(t.Context())
	return out.String(), err
}

func (s *server) replicas(t *testing.T) int32 {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "system", Name: "manager"}, d); err != nil {
		t.Fatal(err)
	}
	return *d.Spec.Replicas
}

// held are the claims and exports that have a finalizer of ours; all must have that of others.
func (s *server) held(t *testing.T) (names []string) {
	t.Helper()
	for _, list := range []client.ObjectList{&corev1.PersistentVolumeClaimList{}, &v1alpha1.S3ExportList{}} {
		err := each(t.Context(), s, list, func(o client.Object) error {
			if !isHeld(o, foreign) {
				t.Errorf("%s has lost a finalizer of others", o.GetName())
			}
			if isHeld(o, v1alpha1.FinalizerFinalExport) || isHeld(o, v1alpha1.FinalizerExport) {
				names = append(names, o.GetName())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func TestEverythingIsReleased(t *testing.T) {
	s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport), claim("b", false, v1alpha1.FinalizerFinalExport),
		claim("others", false), claim("going", true), export("running", false), export("ending", true))
	out, err := s.run(t)
	if err != nil || len(s.held(t)) > 0 || s.replicas(t) != 0 {
		t.Errorf("%v: held are %q, replicas %d:\n%s", err, s.held(t), s.replicas(t), out)
	}
	for _, want := range []string{
		"ml/a", "ml/b", "released 2 claims", "S3Export ml/running", "uploads may be open", "released 2 S3Exports",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	if out, err := s.run(t); err != nil || s.replicas(t) != 0 {
		t.Errorf("a second time: %v\n%s", err, out)
	}
}

// What is being exported is not let go: the manager runs on as before, and everything is held as before.
func TestWhatIsBeingExportedIsNotLetGo(t *testing.T) {
	for name, tt := range map[string]struct {
		objects []client.Object
		want    string
	}{
		"a claim that is being deleted": {
			[]client.Object{claim("going", true, v1alpha1.FinalizerFinalExport)}, "claim ml/going",
		},
		"a volume that was taken": {[]client.Object{taken()}, "volume pv"},
	} {
		s := newServer(t, append(tt.objects, claim("a", false, v1alpha1.FinalizerFinalExport), export("e", false))...)
		before := s.held(t)
		stops := 0
		s.during = func() { stops++ }
		_, err := s.run(t)
		if !errors.Is(err, errUnsafe) || !strings.Contains(err.Error(), tt.want) ||
			!strings.Contains(err.Error(), "skip-final-export") {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(before, s.held(t)) || s.replicas(t) != 2 || stops > 0 {
			t.Errorf("%s: held are %q, replicas %d, stopped %d times", name, s.held(t), s.replicas(t), stops)
		}
	}
}

// A claim that is deleted while the manager is stopped has it back.
func TestAClaimThatIsDeletedMeanwhile(t *testing.T) {
	s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport), claim("b", false, v1alpha1.FinalizerFinalExport))
	s.during = func() {
		if err := s.Delete(t.Context(), claim("b", false)); err != nil {
			t.Error(err)
		}
	}
	_, err := s.run(t)
	if !errors.Is(err, errUnsafe) || s.replicas(t) != 2 || !slices.Contains(s.held(t), "b") {
		t.Errorf("%v: held are %q, replicas %d", err, s.held(t), s.replicas(t))
	}
	// The manager has exported it.
	b := claim("b", false)
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
		t.Fatal(err)
	}
	b.Finalizers = nil
	if err := s.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.during = nil
	if out, err := s.run(t); err != nil || len(s.held(t)) > 0 || s.replicas(t) != 0 {
		t.Errorf("afterwards: %v: held are %q\n%s", err, s.held(t), out)
	}
}

// A claim that is deleted between the list and the patch keeps its finalizer.
func TestAClaimThatIsDeletedWhileItIsReleased(t *testing.T) {
	s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport))
	inner := s.WithWatch
	once := false
	s.WithWatch = interceptor.NewClient(inner, interceptor.Funcs{Patch: func(
		ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
	) error {
		if _, ok := o.(*corev1.PersistentVolumeClaim); ok && !once {
			once = true
			if err := inner.Delete(ctx, claim("a", false)); err != nil {
				t.Error(err)
			}
		}
		return c.Patch(ctx, o, p, opts...)
	}})
	if _, err := s.run(t); !errors.Is(err, errUnsafe) || s.replicas(t) != 2 || !slices.Equal(s.held(t), []string{"a"}) {
		t.Errorf("%v: held are %q, replicas %d", err, s.held(t), s.replicas(t))
	}
}

func TestAManagerThatDoesNotEnd(t *testing.T) {
	s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport))
	s.stuck = true
	if _, err := s.run(t); err == nil || !strings.Contains(err.Error(), "pod manager-1") || len(s.held(t)) != 1 ||
		s.replicas(t) != 2 {
		t.Errorf("%v: held are %q, replicas %d", err, s.held(t), s.replicas(t))
	}
}

// One that was told to end starts the manager again.
func TestAReleaseThatIsEnded(t *testing.T) {
	s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport))
	s.stuck = true
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r := Release{
		Client: s, Namespace: "system", Deployment: "manager", Patience: time.Hour, StopPatience: time.Hour,
		StartPatience: time.Minute, Every: time.Millisecond, Out: &strings.Builder{},
	}
	if err := r.Run(ctx); err == nil || s.replicas(t) != 2 {
		t.Errorf("%v: replicas %d", err, s.replicas(t))
	}
}

func TestWithoutAManager(t *testing.T) {
	s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport))
	d := &appsv1.Deployment{}
	d.Namespace, d.Name = "system", "manager"
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if out, err := s.run(t); err != nil || len(s.held(t)) > 0 {
		t.Errorf("%v: held are %q\n%s", err, s.held(t), out)
	}
}
