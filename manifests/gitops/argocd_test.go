// SPDX-License-Identifier: Apache-2.0

package gitops_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// checkKey begins the keys of health checks in Argo CD's ConfigMap.
const checkKey = "resource.customizations.health."

// scripts are health checks by their keys.
type scripts map[string]string

func argoCD(t *testing.T) scripts {
	t.Helper()
	text, err := os.ReadFile("argocd/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict(text, &cm); err != nil {
		t.Fatal(err)
	}
	// Argo CD reads this ConfigMap only, and only with this label.
	if cm.Kind != "ConfigMap" || cm.Name != "argocd-cm" || cm.Namespace != "argocd" ||
		cm.Labels["app.kubernetes.io/part-of"] != "argocd" {
		t.Errorf("Argo CD does not read %s %s/%s, labelled %v", cm.Kind, cm.Namespace, cm.Name, cm.Labels)
	}
	return cm.Data
}

func TestConfigMapHoldsTheScripts(t *testing.T) {
	files, err := filepath.Glob("argocd/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts were found (%v)", err)
	}
	want := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want[strings.TrimSuffix(filepath.Base(file), ".lua")] = string(text)
	}
	got := map[string]string{}
	for key, text := range argoCD(t) {
		kind := strings.TrimPrefix(strings.TrimPrefix(key, checkKey), v1alpha1.Group+"_")
		got[strings.ToLower(kind)] = text // s3populator.io_S3Source is s3source.lua.
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the ConfigMap has other scripts than the files (-files +ConfigMap):\n%s", diff)
	}
}

// key is where Argo CD looks for the check of a kind.
func key(kind schema.GroupVersionKind) string {
	if kind.Group == "" {
		return checkKey + kind.Kind
	}
	return checkKey + kind.Group + "_" + kind.Kind
}

// judge is what Argo CD makes of an object.
func (s scripts) judge(t *testing.T, object map[string]any) (status, message string) {
	t.Helper()
	o := unstructured.Unstructured{Object: object}
	if o.GetDeletionTimestamp() != nil {
		return progressing, beingDeleted // Argo CD's own words; it asks no script.
	}
	script := s[key(o.GroupVersionKind())]
	if script == "" {
		t.Fatalf("no script for %s", o.GroupVersionKind())
	}
	result := execute(t, script, object)
	found := map[string]string{}
	result.ForEach(func(k, v lua.LValue) { found[k.String()] = v.String() })
	if len(found) != 2 || found["status"] == "" || found["message"] == "" {
		t.Errorf("the script of %s returns %v, want status and message", o.GetKind(), found)
	}
	return found["status"], found["message"]
}

// execute runs a script with less than Argo CD gives it: no more than the functions of the
// language itself and of tables. There is no string library. It has to end; Argo CD gives it a second, on a machine
// that is not as busy as this one may be.
func execute(t *testing.T, script string, object map[string]any) *lua.LTable {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(t, state, object))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %s, want a table", state.Get(-1))
	}
	return result
}

// value is JSON as a script sees it: null is nil, and every number is a float.
func value(t *testing.T, state *lua.LState, from any) lua.LValue {
	t.Helper()
	switch v := from.(type) {
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []any:
		table := state.NewTable()
		for _, item := range v {
			table.Append(value(t, state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range v {
			table.RawSetString(key, value(t, state, item))
		}
		return table
	}
	t.Fatalf("%T is no JSON", from)
	return nil
}
