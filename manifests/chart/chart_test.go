// SPDX-License-Identifier: Apache-2.0

// Package chart tests the Helm chart beside it.
package chart

import (
	"bytes"
	"errors"
	"fmt"
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

	"github.com/s3populator/s3populator/internal/testenv"
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
		testenv.Skipf(t, "no %s: run this by `make unit`", tool)
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
// CRDs, the labels of a release, and the namespace, which helm makes itself, differ.
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
			continue
		}
		labels := o.GetLabels()
		for _, of := range []string{
			"app.kubernetes.io/instance", "app.kubernetes.io/managed-by",
			"app.kubernetes.io/version", "helm.sh/chart",
		} {
			if labels[of] == "" {
				t.Errorf("%s lacks the label %s", name, of)
			}
			delete(labels, of)
		}
		o.SetLabels(labels)
		if o.GetKind() == "CustomResourceDefinition" {
			unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "helm.sh/resource-policy")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-kustomize +helm):\n%s", diff)
	}
}

func TestCertManager(t *testing.T) {
	got := template(t, "--set", "certificates.mode=certManager", "--namespace", "elsewhere")
	for _, name := range []string{
		"Certificate s3populator", "Certificate s3populator-ca", "Issuer s3populator-ca",
		"Issuer s3populator-self-signed",
	} {
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
	// 0444.
	if mode, _, _ := unstructured.NestedFieldNoCopy(volumes(t, got)["certificate"], "secret",
		"defaultMode"); fmt.Sprint(mode) != "292" {
		t.Errorf("the certificate has mode %v, which a manager without a group that is known here cannot read", mode)
	}
	for name := range got {
		if strings.HasSuffix(name, " s3populator-certificates") {
			t.Errorf("%s gives rights that nobody uses", name)
		}
	}
	for _, part := range []string{"--certificate-directory=/run/certificate", `"secretName":"s3populator-serving"`} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the deployment lacks %s", part)
		}
	}
}

// podSpec of the manager.
func podSpec(t *testing.T, all map[string]*unstructured.Unstructured) map[string]any {
	t.Helper()
	spec, ok, err := unstructured.NestedMap(all["Deployment s3populator"].Object, "spec", "template", "spec")
	if err != nil || !ok {
		t.Fatalf("the deployment has no pod: %v", err)
	}
	return spec
}

// volumes of the manager by their names.
func volumes(t *testing.T, all map[string]*unstructured.Unstructured) map[string]map[string]any {
	t.Helper()
	byName := map[string]map[string]any{}
	list, _, _ := unstructured.NestedSlice(podSpec(t, all), "volumes")
	for _, v := range list {
		volume := v.(map[string]any)
		byName[volume["name"].(string)] = volume
	}
	return byName
}

// TestInstallsEverywhere: no platform has to be told about us first.
func TestInstallsEverywhere(t *testing.T) {
	all := template(t)
	spec := podSpec(t, all)
	if spec["priorityClassName"] != nil {
		t.Errorf("priority class %v, for which GKE wants a quota outside of kube-system", spec["priorityClassName"])
	}
	security := spec["securityContext"].(map[string]any)
	if security["runAsUser"] != nil || security["runAsGroup"] != nil || security["fsGroup"] != nil ||
		security["runAsNonRoot"] != true {
		t.Errorf("security context %v, where OpenShift assigns the user", security)
	}
	budget := all["PodDisruptionBudget s3populator"].Object["spec"].(map[string]any)
	if fmt.Sprint(budget["maxUnavailable"]) != "1" || budget["minAvailable"] != nil {
		t.Errorf("budget %v, with which a single replica could never be drained", budget)
	}
}

// TestImages: a mirror, a tag and a digest reach the pods, and the policy that pins the images.
func TestImages(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for set, want := range map[string][2]string{
		"images.manager.tag=v1,images.mover.tag=v2": {
			"docker.io/s3populator/manager:v1",
			"docker.io/s3populator/mover:v2",
		},
		"images.mover.digest=" + digest: {
			"docker.io/s3populator/manager:dev",
			"docker.io/s3populator/mover@" + digest,
		},
		"global.imageRegistry=mirror.local:5000/x": {
			"mirror.local:5000/x/s3populator/manager:dev", "mirror.local:5000/x/s3populator/mover:dev",
		},
		"images.manager.name=registry:5000/m,images.mover.name=n,images.mover.tag=v": {"registry:5000/m", "n:v"},
	} {
		all := template(t, "--set", set)
		containers, _, _ := unstructured.NestedSlice(podSpec(t, all), "containers")
		manager := containers[0].(map[string]any)
		var mover any
		for _, e := range manager["env"].([]any) {
			if e := e.(map[string]any); e["name"] == "MOVER_IMAGE" {
				mover = e["value"]
			}
		}
		if manager["image"] != want[0] || mover != want[1] {
			t.Errorf("--set %s: images %v and %v, want %v", set, manager["image"], mover, want)
		}
		text, _ := all["ValidatingAdmissionPolicy s3populator-manager"].MarshalJSON()
		if !strings.Contains(string(text), "['"+want[0]+"', '"+want[1]+"']") {
			t.Errorf("--set %s: the policy allows others: %s", set, text)
		}
	}
}

// TestMoverDefaults are told to the manager, whose own options read them.
func TestMoverDefaults(t *testing.T) {
	all := template(t, "--set",
		"mover.defaults.imagePullSecrets[0].name=pull,mover.caBundle=PEM,mover.runAsUser=0,servingPort=10250")
	containers, _, _ := unstructured.NestedSlice(podSpec(t, all), "containers")
	manager := containers[0].(map[string]any)
	want := []any{
		"--serving-port=10250",
		"--mover-run-as-user=0",
		`--mover-defaults={"imagePullSecrets":[{"name":"pull"}]}`,
		"--mover-ca-bundle=/run/mover-ca/ca.crt",
	}
	if diff := cmp.Diff(want, manager["args"]); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if port := manager["ports"].([]any)[0].(map[string]any)["containerPort"]; fmt.Sprint(port) != "10250" {
		t.Errorf("the Service leads to port %v", port)
	}
	pem, _, _ := unstructured.NestedString(all["ConfigMap s3populator-mover-ca"].Object, "data", "ca.crt")
	if name, _, _ := unstructured.NestedString(volumes(t, all)["mover-ca"], "configMap",
		"name"); name != "s3populator-mover-ca" || strings.TrimSpace(pem) != "PEM" {
		t.Errorf("the manager has volume %q with %q", name, pem)
	}
}

// TestParts that an administrator has by other means can be left out.
func TestParts(t *testing.T) {
	all := template(t, "--set",
		"crds.enabled=false,podDisruptionBudget.enabled=false,networkPolicy.enabled=false,hostNetwork=true",
		"--set", "serviceAccount.annotations.a=b,podLabels.team=storage,commonLabels.cost=7a,extraArgs={--workers=3}")
	for _, name := range []string{
		"CustomResourceDefinition s3sources.s3populator.io", "PodDisruptionBudget s3populator",
		"NetworkPolicy s3populator",
	} {
		if all[name] != nil {
			t.Errorf("%s is rendered", name)
		}
	}
	if all["ServiceAccount s3populator"].GetAnnotations()["a"] != "b" ||
		all["ClusterRole s3populator"].GetLabels()["cost"] != "7a" {
		t.Error("annotations of the ServiceAccount or labels of everything are lost")
	}
	removed := template(t, "--set", "crds.keep=false")["CustomResourceDefinition s3sources.s3populator.io"]
	if policy := removed.GetAnnotations()["helm.sh/resource-policy"]; policy != "" {
		t.Errorf("crds.keep=false leaves the policy %q", policy)
	}
	spec := podSpec(t, all)
	labels, _, _ := unstructured.NestedStringMap(all["Deployment s3populator"].Object, "spec", "template", "metadata",
		"labels")
	containers, _, _ := unstructured.NestedSlice(spec, "containers")
	if spec["hostNetwork"] != true || labels["team"] != "storage" || labels["app.kubernetes.io/name"] != "s3populator" ||
		!cmp.Equal(containers[0].(map[string]any)["args"], []any{"--workers=3"}) {
		t.Errorf("the pod has labels %v and %v", labels, spec)
	}
}

// TestInjectionNamespaces: a claim matches one entry of those that load it at most. The one for exports is
// asked about annotations everywhere.
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
		map[string]any{"matchExpressions": []any{exempt}},
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
	got := template(t, "--set", "images.manager.name=example.com/m@sha256:1,images.mover.name=example.com/v@sha256:2",
		"--namespace", "elsewhere")
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
		if err != nil || strings.Contains(string(text), "s3populator-system") ||
			strings.Contains(string(text), "docker.io/") {
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
	variables, _, _ := unstructured.NestedSlice(objects(t, text)["ValidatingAdmissionPolicy s3populator-manager"].Object,
		"spec", "variables")
	want := any(map[string]any{"name": "images", "expression": "['registry.example.com/s3populator/manager:dev', " +
		"'registry.example.com/s3populator/mover:dev']"})
	if !slices.ContainsFunc(variables, func(v any) bool { return cmp.Equal(v, want) }) {
		t.Errorf("the variables are %v, want %v among them", variables, want)
	}
}
