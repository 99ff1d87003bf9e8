// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/authority"
	"github.com/s3populator/s3populator/e2e/story"
)

// With a certificate that somebody else makes, in a Secret of cert-manager's shape, the
// replicas become ready and answer with it, without the rights that an authority needs.
func TestCertificateOfCertManager(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 4))
	s.Source("source", bucket)
	kubectl(t, "apply", "--server-side", "--filename", certManagerCRDs(t))
	pem := serving(t)
	defer func() {
		helm(t, "upgrade", "--reset-values")
		kubectl(t, "delete", "--namespace", story.SystemNamespace, "secret/s3populator-serving")
		works(t)
	}()
	helm(t, "upgrade", "--set", "certificates.mode=certManager")
	inject(t, pem)
	works(t)
	s.Populated(s.Claim(story.Claim{Name: "filled", Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}), bucket.Under(""))
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

func certManagerCRDs(t *testing.T) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds")
}

// serving makes the Secret that cert-manager would, and returns its authority.
func serving(t *testing.T) []byte {
	t.Helper()
	ca, err := authority.New("cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	host := story.ManagerName + "." + story.SystemNamespace + ".svc"
	certificate, key, err := ca.Issue(authority.Names{CommonName: host, DNS: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s3populator-serving", Namespace: story.SystemNamespace}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": ca.PEM()},
	}
	if err := world.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	return ca.PEM()
}

// inject is what cert-manager's cainjector does.
func inject(t *testing.T, pem []byte) {
	t.Helper()
	c := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := world.Client.Get(t.Context(), client.ObjectKey{Name: release}, c); err != nil {
		t.Fatal(err)
	}
	if c.Annotations["cert-manager.io/inject-ca-from"] != story.SystemNamespace+"/"+release {
		t.Errorf("cainjector would not look at %v", c.Annotations)
	}
	before := c.DeepCopy()
	for i := range c.Webhooks {
		c.Webhooks[i].ClientConfig.CABundle = pem
	}
	if err := world.Client.Patch(t.Context(), c, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}
