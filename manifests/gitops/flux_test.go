// SPDX-License-Identifier: Apache-2.0

package gitops_test

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// kustomization has the fields of Flux's Kustomization that the example uses.
type kustomization struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Interval         metav1.Duration             `json:"interval"`
		Timeout          metav1.Duration             `json:"timeout"`
		Path             string                      `json:"path"`
		Prune            bool                        `json:"prune"`
		SourceRef        struct{ Kind, Name string } `json:"sourceRef"`
		Wait             bool                        `json:"wait"`
		HealthCheckExprs []fluxCheck                 `json:"healthCheckExprs"`
	} `json:"spec"`
}

type fluxCheck struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

// fluxChecks are by apiVersion and kind.
type fluxChecks map[string]fluxCheck

func flux(t *testing.T) fluxChecks {
	t.Helper()
	text, err := os.ReadFile("flux/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var k kustomization
	if err := yaml.UnmarshalStrict(text, &k); err != nil {
		t.Fatal(err)
	}
	if k.APIVersion != "kustomize.toolkit.fluxcd.io/v1" || k.Kind != "Kustomization" || !k.Spec.Wait {
		t.Errorf("%s %s does not check health (wait: %t)", k.APIVersion, k.Kind, k.Spec.Wait)
	}
	checks := fluxChecks{}
	for _, c := range k.Spec.HealthCheckExprs {
		kind := c.APIVersion + " " + c.Kind
		if _, ok := checks[kind]; ok {
			t.Errorf("Flux refuses a second check of %s", kind)
		}
		checks[kind] = c
	}
	return checks
}

func TestBothToolsCheckTheSameKinds(t *testing.T) {
	want := slices.Sorted(maps.Keys(argoCD(t)))
	var got []string
	for _, c := range flux(t) {
		got = append(got, key(schema.FromAPIVersionAndKind(c.APIVersion, c.Kind)))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Flux checks other kinds than Argo CD (-Argo CD +Flux):\n%s", diff)
	}
}

// judge is what Flux makes of an object: the first expression that is true decides.
func (c fluxChecks) judge(t *testing.T, object map[string]any) string {
	t.Helper()
	check, ok := c[object["apiVersion"].(string)+" "+object["kind"].(string)]
	if !ok {
		t.Fatalf("no check for %s %s", object["apiVersion"], object["kind"])
	}
	for _, e := range []struct{ text, verdict string }{
		{check.InProgress, progressing},
		{check.Failed, degraded},
		{check.Current, healthy},
	} {
		out, _, err := compile(t, e.text).ContextEval(t.Context(), object)
		if err != nil {
			if _, ok := object["status"]; ok {
				t.Errorf("%s: %v", e.text, err)
			}
			return progressing // Flux asks again until its timeout.
		}
		if out == types.True {
			return e.verdict
		}
	}
	return progressing
}

// compile is stricter than Flux, which declares no variables, checks no types and knows more
// functions than the language has.
func compile(t *testing.T, text string) cel.Program {
	t.Helper()
	var variables []cel.EnvOption
	for _, name := range []string{"apiVersion", "kind", "metadata", "spec", "status", "data"} {
		variables = append(variables, cel.Variable(name, cel.DynType))
	}
	env, err := cel.NewEnv(variables...)
	if err != nil {
		t.Fatal(err)
	}
	tree, issues := env.Compile(text)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", text, issues.Err())
	}
	if tree.OutputType() != cel.BoolType {
		t.Errorf("%s: is a %s, want a bool", text, tree.OutputType())
	}
	program, err := env.Program(tree)
	if err != nil {
		t.Fatal(err)
	}
	return program
}
