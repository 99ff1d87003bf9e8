// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"testing"
)

// The manager's role has none of the rights that a tenant would be afraid of.
func TestNothingForbidden(t *testing.T) {
	rights, err := Rights("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(rights) < 10 {
		t.Fatalf("%s gives only %v: it was not read", Manifests, rights)
	}
	seen := map[Right]bool{}
	for _, r := range rights {
		if why := r.Forbidden(); why != "" {
			t.Errorf("%s: %s: remove the +kubebuilder:rbac marker", r, why)
		}
		if seen[r] {
			t.Errorf("%s is given twice", r)
		}
		seen[r] = true
	}
}

// The list of forbidden rights catches what it is meant to.
func TestForbidden(t *testing.T) {
	tests := map[string]struct {
		right         Right
		wantForbidden bool
	}{
		"all verbs":                  {Right{Verb: "*", Resource: Resource{"", "pods"}}, true},
		"all resources":              {Right{Verb: "get", Resource: Resource{"", "*"}}, true},
		"all groups":                 {Right{Verb: "get", Resource: Resource{"*", "pods"}}, true},
		"all subresources":           {Right{Verb: "get", Resource: Resource{"", "pods/*"}}, true},
		"secrets of the cluster":     {Right{Verb: "get", Resource: Resource{"", "secrets"}}, true},
		"its own namespace's secret": {Right{Verb: "get", Resource: Resource{"", "secrets"}, Namespaced: true}, false},
		"logs":                       {Right{Verb: "get", Resource: Resource{"", "pods/log"}}, true},
		"exec":                       {Right{Verb: "create", Resource: Resource{"", "pods/exec"}}, true},
		"tokens of others":           {Right{Verb: "create", Resource: Resource{"", "serviceaccounts/token"}}, true},
		"impersonation":              {Right{Verb: "impersonate", Resource: Resource{"", "users"}}, true},
		"its own roles": {
			Right{Verb: "update", Resource: Resource{"rbac.authorization.k8s.io", "clusterroles"}},
			true,
		},
		"volumes to remove": {Right{Verb: "delete", Resource: Resource{"", "persistentvolumes"}}, true},
		"volumes to rebind": {Right{Verb: "patch", Resource: Resource{"", "persistentvolumes"}}, false},
		"a plain URL":       {Right{Verb: "get", Resource: Resource{"", "/metrics"}}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if why := test.right.Forbidden(); (why != "") != test.wantForbidden {
				t.Errorf("got %q, want forbidden: %t", why, test.wantForbidden)
			}
		})
	}
}
