// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// testProtectedNamespaces: nobody deletes a namespace that an administrator protects, and any other goes.
func (c *cast) testProtectedNamespaces(t *testing.T) {
	installFile(t, c, "../manifests/components/protect-namespaces/policy.yaml")
	kept := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "kept", Labels: map[string]string{"s3populator.io/protect": "true"},
	}}
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "other", Labels: map[string]string{"s3populator.io/protect": "false"},
	}}
	c.create(t, kept)
	c.create(t, other)
	await(t, "the policy", func() bool {
		err := c.Delete(t.Context(), kept.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "namespace kept is labelled s3populator.io/protect=true")
	})
	if err := c.Delete(t.Context(), other, client.DryRunAll); err != nil {
		t.Errorf("a namespace that is not protected is refused: %v", err)
	}
}
