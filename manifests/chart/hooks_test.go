// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestHooks: `helm test` and what comes before an uninstallation bring their own rights, and take them away again.
func TestHooks(t *testing.T) {
	var hooks []string
	for name, o := range template(t) {
		if hook := o.GetAnnotations()["helm.sh/hook"]; hook != "" {
			hooks = append(hooks, hook+": "+name)
		}
	}
	slices.Sort(hooks)
	want := []string{
		"pre-delete: ClusterRole s3populator-release", "pre-delete: ClusterRoleBinding s3populator-release",
		"pre-delete: Job s3populator-release", "pre-delete: Role s3populator-release",
		"pre-delete: RoleBinding s3populator-release", "pre-delete: ServiceAccount s3populator-release",
		"test: Pod s3populator-check", "test: Role s3populator-check", "test: RoleBinding s3populator-check",
		"test: ServiceAccount s3populator-check",
	}
	if diff := cmp.Diff(want, hooks); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

// TestRelease: what comes before an uninstallation is what those without Helm apply, with the settings of the release.
func TestRelease(t *testing.T) {
	text, err := run(t, "kubectl", "kustomize", "../release")
	if err != nil {
		t.Fatal(err)
	}
	want, got := objects(t, text), map[string]*unstructured.Unstructured{}
	for name, o := range template(t) {
		if o.GetAnnotations()["helm.sh/hook"] == "pre-delete" {
			o.SetAnnotations(nil)
			o.SetLabels(want[name].GetLabels())
			got[name] = o
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-kustomize +helm):\n%s", diff)
	}
	all := template(t, "--namespace", "elsewhere", "--set", "release.patience=1m,images.manager.tag=v1",
		"--set", "imagePullSecrets[0].name=pull,nodeSelector.a=b,tolerations[0].key=c")
	job, _ := all["Job s3populator-release"].MarshalJSON()
	for _, part := range []string{
		`"--patience=1m"`, `"--namespace=elsewhere"`, "s3populator/manager:v1", `{"name":"pull"}`, `{"a":"b"}`, `"key":"c"`,
	} {
		if !bytes.Contains(job, []byte(part)) {
			t.Errorf("the Job lacks %s: %s", part, job)
		}
	}
	if job := template(t, "--set", "release.enabled=false")["Job s3populator-release"]; job != nil {
		t.Error("release.enabled=false renders the Job")
	}
}
