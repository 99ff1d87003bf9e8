// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A release gets other values, is removed, and installed again.
// Claims that were filled keep their volumes and bytes through all of it, a claim that
// waited is filled afterwards, and what the release made is gone meanwhile.
func TestLifeOfARelease(t *testing.T) {
	s := story.Begin(t, world)
	s.MayWarn = oldLeader
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
	source := s.Source("source", bucket)
	filled := s.Claim(story.Claim{Name: "filled", Source: "source"})
	_, volume := s.Populated(filled, bucket.Under(""))
	waiting := s.Claim(story.Claim{Name: "waiting", Source: "source", Class: story.LateDelete})
	s.Condition(waiting.Name, string(v1alpha1.ReasonWaitForFirstConsumer))
	survives := func() {
		t.Helper()
		if _, now := s.Populated(filled, bucket.Under("")); now.UID != volume.UID {
			t.Errorf("the claim has another volume, %s instead of %s", now.Name, volume.Name)
		}
	}

	helm(t, "upgrade", "--set", "verbose=true")
	works(t)
	survives()
	s.AssertContent(s.Reader(waiting), bucket.Under("")) // the reader is the consumer that it waits for
	annotated := s.Claim(
		story.Claim{Name: "upgraded", Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}},
	)
	s.Populated(annotated, bucket.Under(""))

	out, err := world.Helm(t.Context(), "uninstall", release, "--namespace", story.SystemNamespace, "--wait")
	if err != nil {
		t.Fatal(out, err)
	}
	removed(t)
	survives()
	if err := s.Find(source); err != nil {
		t.Errorf("the source went with the release: %v", err)
	}

	helm(t, "install")
	works(t)
	survives()
	s.Populated(
		s.Claim(story.Claim{Name: "again", Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}),
		bucket.Under(""),
	)
}

// oldLeader is what a leader is refused that ends while the policy has the images of the next
// one, and what any leader is refused while the API server learns of new definitions.
var oldLeader = []string{string(v1alpha1.ReasonMoverRefused), string(v1alpha1.ReasonInventoryRefused)}

func helm(t *testing.T, verb string, more ...string) {
	t.Helper()
	if err := install(t.Context(), world, verb, checkout(t, "manifests/chart"), more...); err != nil {
		t.Fatal(err)
	}
}

func checkout(t *testing.T, path string) string {
	t.Helper()
	absolute, err := story.Checkout(path)
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

// works is what an administrator sees of `helm test`.
func works(t *testing.T) {
	t.Helper()
	out, err := world.Helm(t.Context(), "test", release, "--namespace", story.SystemNamespace, "--timeout", patience)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "s3populator-check") || !strings.Contains(out, "Succeeded") {
		t.Errorf("helm test says:\n%s", out)
	}
}

// removed asserts that a release leaves the CRDs, its namespace and nothing else.
func removed(t *testing.T) {
	t.Helper()
	ours := client.MatchingLabels{"app.kubernetes.io/part-of": release}
	for _, kind := range []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceList{}, &corev1.ServiceAccountList{},
		&rbacv1.RoleList{}, &rbacv1.RoleBindingList{}, &rbacv1.ClusterRoleList{}, &rbacv1.ClusterRoleBindingList{},
		&admissionregistrationv1.MutatingWebhookConfigurationList{},
	} {
		if err := world.Client.List(t.Context(), kind, ours); err != nil {
			t.Fatal(err)
		}
		if text := story.Names(kind); len(text) > 0 {
			t.Errorf("helm uninstall left %T %v", kind, text)
		}
	}
	err := world.Client.Get(
		t.Context(),
		client.ObjectKey{Name: release},
		&admissionregistrationv1.MutatingWebhookConfiguration{},
	)
	if !apierrors.IsNotFound(err) {
		t.Errorf("the webhook is still there: %v", err)
	}
	if err := world.Client.List(t.Context(), &v1alpha1.S3SourceList{}); err != nil {
		t.Errorf("the CRDs went with the release: %v", err)
	}
	err = world.Client.Get(t.Context(), client.ObjectKey{Name: story.SystemNamespace}, &corev1.Namespace{})
	if err != nil {
		t.Errorf("the namespace went with the release: %v", err)
	}
}
