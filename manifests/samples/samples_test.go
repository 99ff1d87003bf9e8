// SPDX-License-Identifier: Apache-2.0

// Package samples_test tries the examples that the documents show: they are read strictly,
// they fit together, and an API server with our definitions takes them.
package samples_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// scheme knows the kinds that examples use.
func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// read returns the objects of every example, by file. An unknown or repeated field fails.
func read(t *testing.T) map[string][]client.Object {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found only %v (%v)", files, err)
	}
	decoder := serializer.NewCodecFactory(scheme(t), serializer.EnableStrict).UniversalDeserializer()
	all := map[string][]client.Object{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			o, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			all[file] = append(all[file], o.(client.Object))
		}
	}
	return all
}

func TestClaimsNameASource(t *testing.T) {
	found := 0
	for file, objects := range read(t) {
		sources := map[string]bool{}
		for _, o := range objects {
			if s, ok := o.(*v1alpha1.S3Source); ok {
				sources[s.Name] = true
			}
		}
		for _, o := range objects {
			for _, claim := range claims(o) {
				found++
				ref := claim.DataSourceRef
				if ref == nil || ref.APIGroup == nil || *ref.APIGroup != v1alpha1.Group || ref.Kind != v1alpha1.KindS3Source {
					t.Errorf("%s: %s names no S3Source: %+v", file, o.GetName(), ref)
				} else if len(sources) > 0 && !sources[ref.Name] {
					t.Errorf("%s: %s names S3Source %s, which is not in the file", file, o.GetName(), ref.Name)
				}
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d claims were found", found)
	}
}

func claims(o client.Object) []corev1.PersistentVolumeClaimSpec {
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		if o.Annotations[v1alpha1.AnnotationSource] != "" || o.Annotations[v1alpha1.AnnotationURL] != "" {
			return nil // Admission writes the reference.
		}
		return []corev1.PersistentVolumeClaimSpec{o.Spec}
	case *appsv1.StatefulSet:
		var all []corev1.PersistentVolumeClaimSpec
		for _, c := range o.Spec.VolumeClaimTemplates {
			all = append(all, claims(&c)...)
		}
		return all
	}
	return nil
}

// TestSourcesMakeMovers: what a source asks for can be told to a mover, and is understood.
func TestSourcesMakeMovers(t *testing.T) {
	for file, objects := range read(t) {
		for _, o := range objects {
			source, ok := o.(*v1alpha1.S3Source)
			if !ok {
				continue
			}
			request, err := moverpod.Request(wire.Inventory, source.Spec)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			pod, err := moverpod.New(
				moverpod.Spec{Name: "inventory", Request: request, Location: source.Spec.S3Location, Mover: source.Spec.Mover},
			)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if _, err := wire.ParseRequest(pod.Spec.Containers[0].Args[0]); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func TestAPIServerTakesEveryExample(t *testing.T) {
	config := kubetest.APIServer(t, kubetest.Options{CRDs: []string{filepath.Join("..", "crd")}})
	c, err := client.New(config, client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	for file, objects := range read(t) {
		t.Run(file, func(t *testing.T) {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "sample-"}}
			if err := c.Create(t.Context(), namespace); err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				o.SetNamespace(namespace.Name)
				if err := c.Create(t.Context(), o, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
					t.Errorf("create %s: %v", o.GetName(), err)
				}
			}
		})
	}
}
