// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/e2e/cluster/authority"
)

// servingSecret is what cert-manager makes of our Certificate.
const servingSecret = "s3populator-serving"

// CertManagerCRDs are the definitions of a cert-manager, without one that runs: the directory
// to apply. What it would do a story does with Serving and Inject.
func (s *Story) CertManagerCRDs() string {
	s.T.Helper()
	dir, err := exec.CommandContext(
		s.T.Context(),
		"go",
		"list",
		"-m",
		"-f",
		"{{.Dir}}",
		"github.com/cert-manager/cert-manager",
	).Output()
	s.must("find cert-manager's module", err)
	return filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds")
}

// Serving makes the Secret that cert-manager would, or renews it under another authority,
// which it returns.
func (s *Story) Serving() (ca []byte) {
	s.T.Helper()
	a, err := authority.New("cert-manager")
	s.must("make an authority", err)
	host := ManagerName + "." + SystemNamespace + ".svc"
	certificate, key, err := a.Issue(authority.Names{CommonName: host, DNS: []string{host}})
	s.must("issue a certificate", err)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: servingSecret, Namespace: SystemNamespace}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": a.PEM()},
	}
	err = s.World.Client.Create(s.T.Context(), secret)
	if apierrors.IsAlreadyExists(err) {
		err = s.World.Client.Update(s.T.Context(), secret)
	}
	s.must("write Secret "+servingSecret, err)
	return a.PEM()
}

// Inject is what cert-manager's cainjector does.
func (s *Story) Inject(bundles ...[]byte) {
	s.T.Helper()
	c := &admissionregistrationv1.MutatingWebhookConfiguration{}
	s.must("read the webhook", s.World.Client.Get(s.T.Context(), client.ObjectKey{Name: ManagerName}, c))
	if c.Annotations["cert-manager.io/inject-ca-from"] != SystemNamespace+"/"+ManagerName {
		s.T.Errorf("cainjector would not look at %v", c.Annotations)
	}
	before := c.DeepCopy()
	for i := range c.Webhooks {
		c.Webhooks[i].ClientConfig.CABundle = bytes.Join(bundles, nil)
	}
	s.must("write the webhook", s.World.Client.Patch(s.T.Context(), c, client.MergeFrom(before)))
}

// SyncManager makes the kubelet look at the manager's pods now, and with that at their Secrets,
// which it does at every change of a pod and else every minute or so.
func (s *Story) SyncManager() {
	s.T.Helper()
	var pods corev1.PodList
	s.must("list the manager's pods", s.World.Client.List(s.T.Context(), &pods, client.InNamespace(SystemNamespace)))
	for i := range pods.Items {
		before := pods.Items[i].DeepCopy()
		metav1.SetMetaDataAnnotation(&pods.Items[i].ObjectMeta, "e2e/synced", pods.Items[i].ResourceVersion)
		s.must("touch a pod", s.World.Client.Patch(s.T.Context(), &pods.Items[i], client.MergeFrom(before)))
	}
}

// Serves is an error unless every replica serves a certificate of this authority.
func (w *World) Serves(ctx context.Context, ca []byte) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	var pods corev1.PodList
	if err := w.Client.List(ctx, &pods, client.InNamespace(SystemNamespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		if _, err := w.handshake(ctx, pods.Items[i].Status.PodIP, roots); err != nil {
			return fmt.Errorf("connect to %s: %w", pods.Items[i].Name, err)
		}
	}
	return nil
}

// ManagerPods are the names of the replicas.
func (s *Story) ManagerPods() map[string]bool {
	s.T.Helper()
	var pods corev1.PodList
	s.must("list the manager's pods", s.World.Client.List(s.T.Context(), &pods, client.InNamespace(SystemNamespace)))
	names := map[string]bool{}
	for _, p := range pods.Items {
		names[p.Name] = true
	}
	return names
}
