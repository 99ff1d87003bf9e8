// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ManagerAccount is the name of the manager as the API server knows it.
const ManagerAccount = managerAccount

// As is a client that acts for somebody else, with the rights of that user and these groups.
func (s *Story) As(user string, groups ...string) client.Client {
	s.T.Helper()
	config, err := s.World.Node.RESTConfig()
	s.must("act for "+user, err)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	made, err := client.New(config, client.Options{Scheme: s.World.Client.Scheme()})
	s.must("act for "+user, err)
	return made
}

// Grant lets a user do everything with kinds of the core group, and with ours, in this namespace, and waits until the
// API server knows.
func (s *Story) Grant(user string, resources ...string) {
	s.T.Helper()
	s.Create(
		&rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Name: user, Namespace: s.Namespace},
			Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{"", v1alpha1.Group}, Resources: resources, Verbs: []string{"*"}},
			},
		},
	)
	s.Create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{
			Name:      user,
			Namespace: s.Namespace,
		}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
	s.Await("the rights of "+user+" to be known", func() error {
		what := authorizationv1.ResourceAttributes{Namespace: s.Namespace, Verb: "create", Resource: resources[0]}
		asked := &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &what},
		}
		if err := s.World.Client.Create(s.T.Context(), asked); err != nil || !asked.Status.Allowed {
			return errors.Join(errors.New("it may nothing yet"), err)
		}
		return nil
	})
}
