// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// With the component the replicas become ready on a Secret of cert-manager's shape, review
// claims, and serve the renewed certificate without being started again. It is not parallel:
// the other stories need the webhook.
func TestCertManagerComponent(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 4))
	s.Source("source", bucket)
	annotated := story.Claim{Name: "filled", Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}
	reviewed := func() error { return world.Client.Create(t.Context(), s.NewClaim(annotated), client.DryRunAll) }

	s.Shell("kubectl apply --server-side --filename " + s.CertManagerCRDs() +
		"\nkubectl wait --for=condition=Established --timeout=5m --filename " + s.CertManagerCRDs())
	first := s.Serving()
	undo := s.Overlay("components: [MANIFESTS/components/cert-manager]")
	defer func() { // Not a cleanup: those run after the test's context has ended.
		undo()
		s.Delete(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s3populator-serving", Namespace: story.SystemNamespace}})
		s.Shell("kubectl delete --wait=false --filename " + s.CertManagerCRDs())
		s.Await("the manager to be its own authority again", reviewed)
	}()
	s.Shell("kubectl delete clusterrole,clusterrolebinding s3populator-certificates\n" +
		"kubectl -n s3populator-system delete role,rolebinding s3populator-certificates")
	s.Inject(first)
	s.Await("claims to be reviewed", reviewed)
	s.Populated(s.Claim(annotated), bucket.Under(""))

	replicas := s.ManagerPods()
	second := s.Serving()
	s.Inject(first, second)
	s.SyncManager()
	s.Await("the replicas to serve the renewed certificate", func() error { return world.Serves(t.Context(), second) })
	s.Inject(second)
	annotated.Name = "renewed"
	s.Await("claims to be reviewed with the renewed certificate", reviewed)
	for name := range s.ManagerPods() {
		if !replicas[name] {
			t.Errorf("replica %s was started for a renewed certificate", name)
		}
	}
}
