// SPDX-License-Identifier: Apache-2.0

// Package rbac reads the rights that our manifests give to the manager, so that tests
// can say what must not be among them and what nobody uses. It grants nothing.
package rbac

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Resource is a kind of object as RBAC names it; a subresource follows a slash.
type Resource struct{ Group, Name string }

// Right is one verb on one resource.
type Right struct {
	Verb string
	Resource
	Namespaced bool // given by a Role, not by a ClusterRole
}

func (r Right) String() string {
	return strings.TrimPrefix(r.Group+"/"+r.Name, "/") + " " + r.Verb
}

// Manifests are the files with the manager's roles, from the top of the repository.
var Manifests = []string{"manifests/rbac/role.yaml", "manifests/rbac/certificates_role.yaml"}

// Rights are those of every Role and ClusterRole in Manifests, below the top of the repository.
func Rights(top string) (all []Right, err error) {
	for _, m := range Manifests {
		more, err := rights(filepath.Join(top, m))
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

func rights(path string) ([]Right, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	var all []Right
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		var role rbacv1.ClusterRole // a Role has the same fields
		err := d.Decode(&role)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read rights: %w", err)
		}
		all = append(all, expand(role)...)
	}
}

func expand(role rbacv1.ClusterRole) (out []Right) {
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, name := range rule.Resources {
				for _, verb := range rule.Verbs {
					out = append(out, Right{Verb: verb, Resource: Resource{group, name}, Namespaced: role.Kind == "Role"})
				}
			}
		}
		for _, url := range rule.NonResourceURLs {
			for _, verb := range rule.Verbs {
				out = append(out, Right{Verb: verb, Resource: Resource{"", url}})
			}
		}
	}
	return out
}

// Forbidden tells why nobody may have a right; empty when there is no objection.
func (r Right) Forbidden() string {
	switch {
	case slices.Contains([]string{r.Verb, r.Group}, "*") || strings.Contains(r.Name, "*"):
		return "a wildcard grows with the cluster"
	case slices.Contains([]string{"escalate", "bind", "impersonate", "deletecollection"}, r.Verb):
		return "the verb reaches beyond its object"
	case r.Name == "secrets" && !r.Namespaced:
		return "secrets of the whole cluster are not ours to see"
	case slices.Contains([]string{
		"pods/log", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers",
		"pods/proxy", "nodes/proxy", "serviceaccounts/token",
	}, r.Name):
		return "it opens tenants' pods"
	case strings.HasPrefix(r.Name, "/"):
		return "the manager asks for no plain URL"
	case r.Group == "rbac.authorization.k8s.io" && !slices.Contains([]string{"get", "list", "watch"}, r.Verb):
		return "it could give itself rights"
	case r.Name == "persistentvolumes" && slices.Contains([]string{"delete", "create"}, r.Verb):
		return "volumes are made and removed by provisioners"
	}
	return ""
}
