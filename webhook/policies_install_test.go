// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// installPolicies applies manifests/policy and waits until the API server keeps each of them.
func installPolicies(t *testing.T, c client.Client) {
	t.Helper()
	files, err := filepath.Glob("../manifests/policy/[^k]*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		installFile(t, c, file)
	}
	await(t, "the policies", func() bool { // The last one, in the order of their names.
		probe := &v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: "default"}}
		probe.Spec.Region, probe.Spec.Bucket = "x", "datasets"
		probe.Spec.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": ""}}
		err := c.Create(t.Context(), probe, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "s3populator-sources")
	})
}

func installFile(t *testing.T, c client.Client, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		o := &unstructured.Unstructured{}
		if err := errors.Join(err, sigsyaml.UnmarshalStrict(document, &o.Object)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := c.Create(t.Context(), o, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}
