// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// caName is the subject of our CAs, by which they are known in a caBundle.
const caName = "s3populator-ca"

// managed is the certificate that we make ourselves.
type managed struct {
	leaves    *cmtls.DynamicSource
	selection *leafSelection
	publisher *publisher
	now       func() time.Time
}

// +kubebuilder:rbac:groups="",namespace=s3populator-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=s3populator-system,resources=secrets,resourceNames=s3populator-ca,verbs=get;list;watch;update
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=s3populator,verbs=list;watch;patch

func newManaged(o Options) (*managed, error) {
	config := rest.CopyConfig(o.RESTConfig)
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client for certificates: %w", err)
	}
	m := &managed{selection: &leafSelection{settle: settleTime(o.LeafDuration)}, now: o.Now}
	m.publisher = newPublisher(o, client, m.selection)
	m.leaves = &cmtls.DynamicSource{
		DNSNames: dnsNames(o.ServiceName, o.Namespace),
		Authority: &witness{before: m.remember, DynamicAuthority: &authority.DynamicAuthority{
			SecretNamespace: o.Namespace,
			SecretName:      o.SecretName,
			SecretLabels:    map[string]string{"app.kubernetes.io/managed-by": "s3populator"},
			RESTConfig:      config,
			CommonName:      caName,
			CADuration:      o.CADuration,
			LeafDuration:    o.LeafDuration,
		}},
	}
	return m, nil
}

// dnsNames are those under which a Service is called: API servers use the first.
func dnsNames(service, namespace string) []string {
	return []string{
		service + "." + namespace + ".svc",
		service + "." + namespace,
		service + "." + namespace + ".svc.cluster.local",
	}
}

// witness sees to it that the leaf being served is remembered before it is replaced.
type witness struct {
	*authority.DynamicAuthority
	before func()
}

// Sign is called by the DynamicSource right before it forgets its leaf.
func (w *witness) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	w.before()
	return w.DynamicAuthority.Sign(template)
}

func (m *managed) remember() {
	if newest, err := m.leaves.GetCertificate(nil); err == nil {
		m.selection.pick(newest, m.now())
	}
}

func (m *managed) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(log.IntoContext(ctx, log.FromContext(ctx).WithName("certs")))
	group.Go(func() error { return m.leaves.Start(ctx) })
	group.Go(func() error { return m.publisher.run(ctx) })
	return group.Wait()
}

func (m *managed) certificate() (*tls.Certificate, error) {
	newest, err := m.leaves.GetCertificate(nil)
	if err != nil {
		return nil, fmt.Errorf("serve: the first certificate is not signed yet: %w", err)
	}
	return m.selection.pick(newest, m.now()), nil
}

func (m *managed) trusted() []byte { return m.publisher.trusted() }

func (m *managed) ready() error {
	c, err := m.certificate()
	switch {
	case err != nil:
		return err
	case !m.now().Before(c.Leaf.NotAfter):
		return fmt.Errorf(
			"the serving certificate expired at %s and the CA signs no new one",
			c.Leaf.NotAfter.Format(time.RFC3339),
		)
	case !m.selection.trusts(c):
		return fmt.Errorf("the CA of the serving certificate is not published: %w", m.publisher.why())
	}
	return nil
}
