// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// grantIn gives a right in one namespace.
func (c *cast) grantIn(t *testing.T, namespace, user string, rule rbacv1.PolicyRule) {
	t.Helper()
	name := metav1.ObjectMeta{Name: user, Namespace: namespace}
	c.create(t, &rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{rule}})
	c.create(t, &rbacv1.RoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
}

func s3Import(name string, change ...func(*v1alpha1.S3Import)) *v1alpha1.S3Import {
	i := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "plain"}}
	i.Spec.ClaimName, i.Spec.SourceName = "data", "models"
	for _, f := range change {
		f(i)
	}
	return i
}

// testImportRecords: a user makes S3Imports, and passes none off as one of the manager's, nor the other way round.
func (c *cast) testImportRecords(t *testing.T) {
	made := func(i *v1alpha1.S3Import) { i.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy} }
	token := func(i *v1alpha1.S3Import) { made(i); i.Labels[v1alpha1.LabelRole] = v1alpha1.RoleImport }
	byHelm := func(i *v1alpha1.S3Import) { i.Labels = map[string]string{v1alpha1.LabelManagedBy: "Helm"} }
	owned := func(i *v1alpha1.S3Import) {
		i.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: "data", UID: "c-1",
		}}
	}
	users, record, ofToken := s3Import("of-user"), s3Import("of-claim", made, owned), s3Import("of-token", token, owned)
	orphan := s3Import("orphan", made)
	for _, o := range []*v1alpha1.S3Import{users, record, ofToken, orphan} {
		if err := c.as[ourselves].Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	create := func(i *v1alpha1.S3Import) func(client.Client) error {
		return func(by client.Client) error { return by.Create(t.Context(), i.DeepCopy(), client.DryRunAll) }
	}
	remove := func(i *v1alpha1.S3Import) func(client.Client) error {
		return func(by client.Client) error { return by.Delete(t.Context(), i.DeepCopy(), client.DryRunAll) }
	}
	patch := func(i *v1alpha1.S3Import, text string) func(client.Client) error {
		return func(by client.Client) error {
			raw := client.RawPatch("application/merge-patch+json", []byte(text))
			return by.Patch(t.Context(), i.DeepCopy(), raw, client.DryRunAll)
		}
	}
	const becomesRecord = `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"s3populator"}}}`
	const suspend = `{"spec":{"suspend":true}}`
	for name, tt := range map[string]struct {
		do   func(client.Client) error
		want string // In the refusal; empty where a user may.
	}{
		"making one":                   {do: create(s3Import("new"))},
		"making one with Helm":         {do: create(s3Import("new", byHelm))},
		"making one that owns nothing": {do: create(s3Import("new", owned))},
		"making a record":              {do: create(s3Import("new", made)), want: "leave both as they are"},
		"making one of a token":        {do: create(s3Import("new", token)), want: "leave both as they are"},
		"suspending one":               {do: patch(users, suspend)},
		"making it a record":           {do: patch(users, becomesRecord), want: "leave both as they are"},
		"deleting one":                 {do: remove(users)},
		"suspending one of a token":    {do: patch(ofToken, suspend)},
		"deleting one of a token":      {do: remove(ofToken)},
		"making one of a token a record": {
			do: patch(ofToken, `{"metadata":{"labels":{"s3populator.io/role":null}}}`), want: "leave both as they are",
		},
		"making one of a token a user's": {
			do: patch(ofToken, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"me"}}}`), want: "leave both as they are",
		},
		"making a record a user's": {
			do: patch(record, `{"metadata":{"labels":null}}`), want: "leave both as they are",
		},
		"making a record one of a token": {
			do: patch(record, `{"metadata":{"labels":{"s3populator.io/role":"import"}}}`), want: "leave both as they are",
		},
		"changing a record": {do: patch(record, suspend), want: "of-claim shows how a claim is filled"},
		"taking a record from its claim": {
			do: patch(record, `{"metadata":{"ownerReferences":null}}`), want: "of-claim shows how a claim is filled",
		},
		"deleting a record":               {do: remove(record), want: "is deleted with that claim"},
		"deleting a record without claim": {do: remove(orphan)},
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, "a user", tt.do(c.as[importer]), tt.want)
			checkOutcome(t, "who may in all namespaces", tt.do(c.as[root]), "")
		})
	}
}
