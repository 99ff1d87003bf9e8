// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ExemptFromAdmission labels the namespace so that neither webhook nor policies look at its
// claims, and waits until the API server knows.
func (s *Story) ExemptFromAdmission() {
	s.T.Helper()
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}
	Update(s, space, func(n *corev1.Namespace) {
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[v1alpha1.LabelAdmission] = v1alpha1.AdmissionExempt
	})
	asking := s.NewClaim(Claim{Annotations: map[string]string{v1alpha1.AnnotationSource: "none"}})
	s.Await("the API server to know the exemption", func() error {
		claim := asking.DeepCopy()
		if err := s.World.Client.Create(s.T.Context(), claim, client.DryRunAll); err != nil {
			return fmt.Errorf("a policy still refuses: %w", err)
		}
		if claim.Spec.DataSourceRef != nil {
			return errors.New("the webhook still answers")
		}
		return nil
	})
}
