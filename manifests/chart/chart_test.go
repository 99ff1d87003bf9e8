// SPDX-License-Identifier: Apache-2.0

// Package chart tests the Helm chart beside it.
package chart

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const namespace = "s3populator-system"

// run is a tool of the assets directory; a machine that has none skips, CI may not.
func run(t *testing.T, tool string, args ...string) (string, error) {
	t.Helper()
	if err := open(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), tool)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("REQUIRE_TOOLS") != "" {
			t.Fatal(err)
		}
		t.Skipf("no %s: run this by `make unit`", tool)
	}
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return "", errors.New(trouble.String())
	}
	return out.String(), nil
}

// open reads what the tools will read: go test repeats an old result unless the test's own
// process has opened what changed since.
var open = sync.OnceValue(func() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = os.ReadFile(path)
		}
		return err
	})
})

func template(t *testing.T, args ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	text, err := run(t, "helm", append([]string{"template", "s3populator", ".", "--namespace", namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, text)
}

// objects by kind and name.
func objects(t *testing.T, text string) map[string]*unstructured.Unstructured {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) > 0 {
			all[o.GetKind()+" "+o.GetName()] = o
		}
	}
}

// TestChartAndKustomizeAreEqual: one installs what the other does. Only helm's policy on the
// CRDs, and the namespace, which helm makes itself, differ.
func TestChartAndKustomizeAreEqual(t *testing.T) {
	text, err := run(t, "kubectl", "kustomize", "../default")
	if err != nil {
		t.Fatal(err)
	}
	want, got := objects(t, text), template(t)
	delete(want, "Namespace "+namespace)
	for name, o := range got {
		if o.GetAnnotations()["helm.sh/hook"] != "" {
			delete(got, name)
		}
		if o.GetKind() == "CustomResourceDefinition" {
			unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "helm.sh/resource-policy")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-kustomize +helm):\n%s", diff)
	}
}

// TestHooks: `helm test` brings its own rights, and takes them away again.
func TestHooks(t *testing.T) {
	var hooks []string
	for name, o := range template(t) {
		if hook := o.GetAnnotations()["helm.sh/hook"]; hook != "" {
			hooks = append(hooks, hook+": "+name)
		}
	}
	slices.Sort(hooks)
	want := []string{"test: Pod s3populator-check", "test: Role s3populator-check", "test: RoleBinding s3populator-check", "test: ServiceAccount s3populator-check"}
	if diff := cmp.Diff(want, hooks); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

func TestCertManager(t *testing.T) {
	got := template(t, "--set", "certificates.mode=certManager", "--namespace", "elsewhere")
	for _, name := range []string{"Certificate s3populator", "Certificate s3populator-ca", "Issuer s3populator-ca", "Issuer s3populator-self-signed"} {
		if got[name] == nil {
			t.Errorf("%s is not rendered", name)
		}
	}
	config := got["MutatingWebhookConfiguration s3populator"]
	if from := config.GetAnnotations()["cert-manager.io/inject-ca-from"]; from != "elsewhere/s3populator" {
		t.Errorf("the caBundle is injected from %q", from)
	}
	names, _, _ := unstructured.NestedStringSlice(got["Certificate s3populator"].Object, "spec", "dnsNames")
	if len(names) == 0 || names[0] != "s3populator.elsewhere.svc" {
		t.Errorf("the certificate is for %v", names)
	}
	text, _ := got["Deployment s3populator"].MarshalJSON()
	for _, part := range []string{"--certificate-directory=/run/certificate", `"secretName":"s3populator-serving"`} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the deployment lacks %s", part)
		}
	}
}

// TestInjectionNamespaces: a claim matches one entry of the webhook at most.
func TestInjectionNamespaces(t *testing.T) {
	got := template(t, "--set", "admission.injectionNamespaces={ml,vision}")["MutatingWebhookConfiguration s3populator"]
	entries, _, _ := unstructured.NestedSlice(got.Object, "webhooks")
	injection := func(operator string) map[string]any {
		return map[string]any{"key": "s3populator.io/injection", "operator": operator, "values": []any{"enabled", "required"}}
	}
	exempt := map[string]any{"key": "s3populator.io/admission", "operator": "NotIn", "values": []any{"exempt"}}
	named := func(operator string) map[string]any {
		return map[string]any{"key": "kubernetes.io/metadata.name", "operator": operator, "values": []any{"ml", "vision"}}
	}
	want := []any{
		map[string]any{"matchExpressions": []any{injection("NotIn"), named("NotIn"), exempt}},
		map[string]any{"matchExpressions": []any{injection("In"), exempt}},
		map[string]any{"matchExpressions": []any{injection("NotIn"), named("In"), exempt}},
	}
	var selectors []any
	for _, e := range entries {
		selectors = append(selectors, e.(map[string]any)["namespaceSelector"])
	}
	if diff := cmp.Diff(want, selectors); diff != "" {
		t.Errorf("namespace selectors (-want +got):\n%s", diff)
	}
}

// TestPolicies name what is installed, and where, as literals.
func TestPolicies(t *testing.T) {
	got := template(t, "--set", "images.manager.name=example.com/m@sha256:1,images.mover.name=example.com/v@sha256:2", "--namespace", "elsewhere")
	policy := got["ValidatingAdmissionPolicy s3populator-manager"]
	text, err := policy.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`['example.com/m@sha256:1', 'example.com/v@sha256:2']`, "'system:serviceaccount:elsewhere:s3populator'"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the policy of the manager lacks %s", part)
		}
	}
	for name, o := range got {
		text, err := o.MarshalJSON()
		if err != nil || strings.Contains(string(text), "s3populator-system") || strings.Contains(string(text), "docker.io/") {
			t.Errorf("%s names what is not installed (%v)", name, err)
		}
	}
}

// TestTheOverlayCarriesItsImages into the policy: kustomize copies them from the Deployment.
func TestTheOverlayCarriesItsImages(t *testing.T) {
	text, err := run(t, "kubectl", "kustomize", "../samples/overlay")
	if err != nil {
		t.Fatal(err)
	}
	variables, _, _ := unstructured.NestedSlice(objects(t, text)["ValidatingAdmissionPolicy s3populator-manager"].Object, "spec", "variables")
	want := map[string]any{"name": "images", "expression": "['registry.example.com/s3populator/manager:dev', 'registry.example.com/s3populator/mover:dev']"}
	if diff := cmp.Diff(want, variables[0]); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestOptions(t *testing.T) {
	got := template(t, "--set", "admission.enabled=false,progress=false,verbose=true,metrics.serviceMonitor.enabled=true,images.mover.pullPolicy=Always", "--set", "copyAnnotations={a.io/b,c.io/d}")
	if got["MutatingWebhookConfiguration s3populator"] != nil || got["ServiceMonitor s3populator"] == nil {
		t.Errorf("without admission and with a monitor it renders %d objects", len(got))
	}
	containers, _, _ := unstructured.NestedSlice(got["Deployment s3populator"].Object, "spec", "template", "spec", "containers")
	want := []any{"--admission=false", "--progress=false", "--verbose", "--copy-annotations=a.io/b,c.io/d", "--mover-image-pull-policy=Always"}
	if diff := cmp.Diff(want, containers[0].(map[string]any)["args"]); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

// TestMistakesAreRefused by the schema of the values, with the name of the value.
func TestMistakesAreRefused(t *testing.T) {
	for set, says := range map[string]string{
		"replica=3":                           "replica",
		"replicas=0":                          "replicas",
		"certificates.mode=letsEncrypt":       "mode",
		"images.manager.pullPolicy=Sometimes": "pullPolicy",
		"admission.injectionNamespaces={A_B}": "injectionNamespaces",
	} {
		_, err := run(t, "helm", "template", "s3populator", ".", "--set", set)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("--set %s: got %v, want an error that names %s", set, err, says)
		}
	}
}
