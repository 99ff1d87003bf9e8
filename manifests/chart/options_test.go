// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestOptions(t *testing.T) {
	got := template(
		t,
		"--set",
		"admission.enabled=false,progress=false,verbose=true,metrics.serviceMonitor.enabled=true,images.mover.pullPolicy=Always",
		"--set",
		"copyAnnotations={a.io/b,c.io/d}",
	)
	if got["MutatingWebhookConfiguration s3populator"] != nil || got["ServiceMonitor s3populator"] == nil {
		t.Errorf("without admission and with a monitor it renders %d objects", len(got))
	}
	containers, _, _ := unstructured.NestedSlice(got["Deployment s3populator"].Object, "spec", "template", "spec",
		"containers")
	want := []any{
		"--admission=false", "--progress=false", "--verbose", "--copy-annotations=a.io/b,c.io/d",
		"--mover-image-pull-policy=Always",
	}
	if diff := cmp.Diff(want, containers[0].(map[string]any)["args"]); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

// TestProtection: what may not be deleted is the administrator's choice.
func TestProtection(t *testing.T) {
	const claims, namespaces = "ValidatingAdmissionPolicy s3populator-protect-claims",
		"ValidatingAdmissionPolicy s3populator-protect"
	for set, want := range map[string][2]bool{
		"protect.claims=false":                        {false, false},
		"protect.claims=true":                         {true, false},
		"protect.namespaces=true":                     {false, true},
		"protect.claims=true,protect.namespaces=true": {true, true},
	} {
		got := template(t, "--namespace", "elsewhere", "--set", set)
		if (got[claims] != nil) != want[0] || (got[namespaces] != nil) != want[1] {
			t.Errorf("%s: claims are protected: %t, namespaces: %t", set, got[claims] != nil, got[namespaces] != nil)
		}
		if (got[claims] != nil) != (got["ValidatingAdmissionPolicyBinding s3populator-protect-claims"] != nil) {
			t.Errorf("%s: a policy without its binding, or the reverse", set)
		}
		if got[claims] == nil {
			continue
		}
		if text, _ := got[claims].MarshalJSON(); !strings.Contains(
			string(text),
			"system:serviceaccount:elsewhere:s3populator",
		) {
			t.Errorf("%s: the manager of this release is not exempt: %s", set, text)
		}
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
		"images.mover.digest=latest":          "digest",
		"servingPort=8080":                    "servingPort",
		"protect.pods=true":                   "pods",
		"mover.runAsUser=root":                "runAsUser",
		"extraArgs={workers}":                 "extraArgs",
	} {
		_, err := run(t, "helm", "template", "s3populator", ".", "--set", set)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("--set %s: got %v, want an error that names %s", set, err, says)
		}
	}
}
