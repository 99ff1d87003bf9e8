// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// With a certificate that somebody else makes, in a Secret of cert-manager's shape, the
// replicas become ready and answer with it, without the rights that an authority needs.
func TestCertificateOfCertManager(t *testing.T) {
	s := story.Begin(t, world)
	s.MayWarn = oldLeader
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 4))
	s.Source("source", bucket)
	kubectl(t, "apply", "--server-side", "--filename", s.CertManagerCRDs())
	kubectl(t, "wait", "--for=condition=Established", "--timeout="+patience, "--filename", s.CertManagerCRDs())
	pem := s.Serving()
	defer func() {
		helm(t, "upgrade", "--reset-values")
		kubectl(t, "delete", "--namespace", story.SystemNamespace, "secret/s3populator-serving")
		works(t)
	}()
	helm(t, "upgrade", "--set", "certificates.mode=certManager")
	s.Inject(pem)
	works(t)
	s.Populated(
		s.Claim(story.Claim{Name: "filled", Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}),
		bucket.Under(""),
	)
	err := world.Client.Get(t.Context(), client.ObjectKey{Name: "s3populator-certificates"}, &rbacv1.ClusterRole{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the rights of an own authority are still there: %v", err)
	}
}

func kubectl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := world.Node.Command(t.Context(), "kubectl", args...).CombinedOutput(); err != nil {
		t.Fatalf("kubectl %v: %v: %s", args, err, out)
	}
}
