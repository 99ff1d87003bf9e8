// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/s3populator/s3populator/internal/moverpod"
)

// TestFindsTheExportFirst: nothing is listed before the prefix of the export is known.
func TestFindsTheExportFirst(t *testing.T) {
	names := func(s *state) {
		s.Source.Spec.FromExport, s.Why = &v1alpha1.FromExport{Claim: "data"}, "no complete S3Export is there"
	}
	found := func(s *state) { s.Found = &v1alpha1.SourceExport{Name: "a", Prefix: "a/"} }
	skipped := func(s *state) { s.Source.Annotations[v1alpha1.AnnotationInventory] = v1alpha1.InventorySkip }
	for name, tt := range map[string]struct {
		state  state
		action action
		reason v1alpha1.Reason
	}{
		"there is none":        {world(names), wait, v1alpha1.ReasonExportNotFound},
		"none, and not listed": {world(names, skipped), wait, v1alpha1.ReasonExportNotFound},
		"found":                {world(names, found), resolve, ""},
		"found, not listed":    {world(names, found, skipped), resolve, ""},
	} {
		d := decide(tt.state)
		if d.Action != tt.action || d.Reason != tt.reason || d.Reason != "" && (d.Status != metav1.ConditionUnknown ||
			!strings.Contains(d.Message, "no complete S3Export is there")) {
			t.Errorf("%s: decided %+v", name, d)
		}
	}
}

// exported is a complete export of a claim.
func exported(name string, ended time.Time) *v1alpha1.S3Export {
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", UID: types.UID(name)}}
	e.Spec.ClaimName, e.Spec.Destination.S3Location = "data", world().Source.Spec.S3Location
	e.Status.Prefix, e.Status.CompletionTime = "team/data/"+name+"/", &metav1.Time{Time: ended}
	e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	return e
}

func apiWith(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.S3Source{})
	for _, o := range objects {
		b = b.WithObjects(o.DeepCopyObject().(client.Object))
	}
	return b.Build()
}

// TestNoExportIsKeptThatIsBeingRemoved: a cache shows a run as complete that is marked since, because no source had it.
func TestNoExportIsKeptThatIsBeingRemoved(t *testing.T) {
	source := world().Source
	source.Spec.FromExport = &v1alpha1.FromExport{Claim: "data", Before: &metav1.Time{Time: noon}}
	earlier, last := exported("earlier", noon.Add(-2*time.Hour)), exported("last", noon.Add(-time.Hour))
	marked := last.DeepCopy()
	marked.Annotations = map[string]string{v1alpha1.AnnotationPruning: "last " + noon.Format(time.RFC3339)}
	for name, tt := range map[string]struct {
		there []client.Object
		want  string // Empty for none.
	}{
		"it is there":      {[]client.Object{last, earlier}, "last"},
		"it is marked":     {[]client.Object{marked, earlier}, "earlier"},
		"it is gone":       {[]client.Object{earlier}, "earlier"},
		"no other is left": {[]client.Object{marked}, ""},
	} {
		now := &v1alpha1.S3Source{}
		api, old := apiWith(t, append(tt.there, source)...), apiWith(t, source, last, earlier)
		r := &Reconciler{Client: kubetest.Cached(api, old), Live: api, Now: func() time.Time { return noon }}
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(source)})
		if err := errors.Join(err, api.Get(t.Context(), client.ObjectKeyFromObject(source), now)); err != nil {
			t.Fatal(err)
		}
		got := ""
		if now.Status.FromExport != nil {
			got = now.Status.FromExport.Name
		}
		if got != tt.want || result.RequeueAfter == 0 {
			t.Errorf("%s: the source has %q, want %q; again after %s", name, got, tt.want, result.RequeueAfter)
		}
	}
}

// TestListsThePrefixOfTheExport: first it is written down, and then that is listed, whatever is exported meanwhile.
func TestListsThePrefixOfTheExport(t *testing.T) {
	source := world().Source
	source.Spec.FromExport = &v1alpha1.FromExport{Claim: "data"}
	api := apiWith(t, source, exported("first", noon.Add(-time.Hour)))
	r := &Reconciler{
		Client: api, Live: api, Events: &events.FakeRecorder{}, Now: func() time.Time { return noon },
		Image: moverpod.Image{Name: "mover"}, Defaults: moverpod.Defaults{RunAs: moverpod.NonRoot},
	}
	pass := func() {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(source)}); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	if err := api.Create(t.Context(), exported("second", noon)); err != nil {
		t.Fatal(err)
	}
	pass()
	now, pod := &v1alpha1.S3Source{}, &corev1.Pod{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(source), now); err != nil {
		t.Fatal(err)
	}
	if found := now.Status.FromExport; found == nil || found.Name != "first" || now.Spec.Prefix != "" {
		t.Errorf("the status says %+v, the prefix is %q", found, now.Spec.Prefix)
	}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: podName(source)}, pod); err != nil {
		t.Fatal(err)
	}
	if args := strings.Join(pod.Spec.Containers[0].Args, " "); !strings.Contains(args, "team/data/first/") {
		t.Errorf("the pod is told %s", args)
	}
	if woken := r.fromExport(t.Context(), exported("third", noon)); len(woken) != 0 {
		t.Errorf("a source that has its export is woken: %v", woken)
	}
}

// TestAnExportThatIsMarkedMeanwhileIsGivenBack: it was marked after it was looked at, and before a source had it.
func TestAnExportThatIsMarkedMeanwhileIsGivenBack(t *testing.T) {
	source := world().Source
	source.Spec.FromExport = &v1alpha1.FromExport{Claim: "data", Before: &metav1.Time{Time: noon}}
	earlier, last := exported("earlier", noon.Add(-2*time.Hour)), exported("last", noon.Add(-time.Hour))
	api, looks := apiWith(t, source, last, earlier), 0
	live := interceptor.NewClient(api, interceptor.Funcs{List: func(
		ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption,
	) error {
		err := c.List(ctx, list, opts...)
		looks++
		if looks == 1 {
			marked := last.DeepCopy()
			marked.Annotations = map[string]string{v1alpha1.AnnotationPruning: "last " + noon.Format(time.RFC3339)}
			err = errors.Join(err, c.Patch(ctx, marked, client.MergeFrom(last)))
		}
		return err
	}})
	r := &Reconciler{
		Client: api, Live: live, Now: func() time.Time { return noon }, Events: events.NewFakeRecorder(10),
	}
	for _, want := range []string{"", "earlier"} {
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(source)})
		now := &v1alpha1.S3Source{}
		if err := errors.Join(err, api.Get(t.Context(), client.ObjectKeyFromObject(source), now)); err != nil {
			t.Fatal(err)
		}
		got := ""
		if now.Status.FromExport != nil {
			got = now.Status.FromExport.Name
		}
		if got != want {
			t.Errorf("after %d looks it has %q, want %q", looks, got, want)
		}
	}
}
