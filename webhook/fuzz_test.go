// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// FuzzAnnotations gives a claim two annotations of ours with any value: what is admitted has
// a source if it asked for one, differs from what was sent in nothing but what we own, and
// is left alone when reviewed again.
func FuzzAnnotations(f *testing.F) {
	r := load(f, "testdata/auto-size.in.yaml")
	r.selecting = true
	for _, seed := range []struct{ name, value, other, text, request string }{
		{"source", "imagenet", "auto-size", "true", "1Gi"},
		{"source", "missing", "bind", "Immediate", ""},
		{"url", "s3://datasets/imagenet/", "region", "eu-west-1", "10Gi"},
		{"url", "s3://datasets/a b?c#d", "endpoint", "https://minio:9000", ""},
		{"url", "s3://My_Data", "region", "eu-west-1", "0"},
		{"url", "s3://datasets/\x00", "region", "\xff", "1"},
		{"sorce", "imagenet", "grow-to", "Inventory", "1Ei"},
		{"secret", "a", "service-account", "b", "-1"},
		{"source", "../../etc", "url", "", "1m"},
	} {
		f.Add(seed.name, seed.value, seed.other, seed.text, seed.request, "data")
	}
	f.Fuzz(func(t *testing.T, name, value, other, text, request, claimName string) {
		claim := &corev1.PersistentVolumeClaim{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}}
		claim.Name, claim.Namespace = claimName, "ml"
		claim.Annotations = map[string]string{v1alpha1.Group + "/" + name: value, v1alpha1.Group + "/" + other: text}
		if q, err := resource.ParseQuantity(request); err == nil {
			claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: q}
		}
		raw, err := json.Marshal(claim)
		if err != nil {
			t.Skip()
		}
		sent := &corev1.PersistentVolumeClaim{} // As the API server holds it: invalid UTF-8 is gone.
		if err := json.Unmarshal(raw, sent); err != nil {
			t.Skip()
		}
		r := r
		r.request.Object = runtime.RawExtension{Raw: raw}
		response := r.claims().Handle(t.Context(), r.request)
		if !response.Allowed {
			if response.Result.Code != 422 || response.Result.Message == "" {
				t.Errorf("refused with %+v; want an invalid claim and why", response.Result)
			}
			return
		}
		got := &corev1.PersistentVolumeClaim{}
		patched := apply(t, raw, response)
		if err := json.Unmarshal(patched, got); err != nil {
			t.Fatal(err)
		}
		checkAdmitted(t, sent, got)
		r.request.Object.Raw, r.request.UID = patched, "another"
		if again := r.claims().Handle(t.Context(), r.request); !again.Allowed || len(again.Patches) > 0 {
			t.Errorf("reviewed again: allowed %t, patch %v", again.Allowed, again.Patches)
		}
	})
}

// checkAdmitted compares an admitted claim with what was sent.
func checkAdmitted(t *testing.T, sent, got *corev1.PersistentVolumeClaim) {
	t.Helper()
	_, source := sent.Annotations[v1alpha1.AnnotationSource]
	_, url := sent.Annotations[v1alpha1.AnnotationURL]
	if (source || url) != (got.Spec.DataSourceRef != nil) {
		t.Fatalf("asks for a source: %t, has %+v", source || url, got.Spec.DataSourceRef)
	}
	if source && got.Spec.DataSourceRef.Name != sent.Annotations[v1alpha1.AnnotationSource] {
		t.Errorf("annotated with %q, refers to %q", sent.Annotations[v1alpha1.AnnotationSource], got.Spec.DataSourceRef.Name)
	}
	if names := unknown(sent); !source && !url && len(names) > 0 {
		t.Errorf("admitted without a source, although %v are unknown", names)
	}
	was, _ := size(sent)
	now, sized := size(got)
	if !was.IsZero() && now.Cmp(was) != 0 || (source || url) && !sized {
		t.Errorf("request went from %s to %s", was.String(), now.String())
	}
	rest := got.DeepCopy()
	rest.Spec.DataSourceRef, rest.Spec.Resources.Requests = sent.Spec.DataSourceRef, sent.Spec.Resources.Requests
	if _, ok := sent.Annotations[v1alpha1.AnnotationGrowTo]; !ok {
		delete(rest.Annotations, v1alpha1.AnnotationGrowTo)
	} else {
		rest.Annotations[v1alpha1.AnnotationGrowTo] = sent.Annotations[v1alpha1.AnnotationGrowTo]
	}
	if !equality.Semantic.DeepEqual(sent, rest) {
		t.Errorf("more was changed than what is ours (-sent +got):\n%s", cmp.Diff(sent, rest))
	}
}

// FuzzObject sends anything at all.
func FuzzObject(f *testing.F) {
	for _, file := range []string{"auto-size", "selected", "error-many", "unknown-fields-stay", "url-with-everything"} {
		f.Add(load(f, "testdata/"+file+".in.yaml").request.Object.Raw)
	}
	f.Add(
		[]byte(
			`{"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":null,"spec":{"dataSourceRef":null,"resources":null}}`,
		),
	)
	f.Add(
		[]byte(
			`{"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"annotations":{"s3populator.io/source":"imagenet"}}}`,
		),
	)
	f.Add([]byte(`[]`))
	r := load(f, "testdata/auto-size.in.yaml")
	r.selecting = true
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := r
		r.request.Operation = admissionv1.Create
		r.request.Object.Raw = raw
		response := r.claims().Handle(t.Context(), r.request)
		if response.Allowed && len(response.Patches) > 0 {
			apply(t, raw, response)
		}
	})
}
