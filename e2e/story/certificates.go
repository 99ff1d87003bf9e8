// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// AuthoritySecret is where the manager keeps its certificate authority.
const AuthoritySecret = "s3populator-ca"

// ManagerArgs adds arguments to the manager's and replaces its replicas one by one, as an
// upgrade does. Undo takes them away again.
func (w *World) ManagerArgs(ctx context.Context, args ...string) (undo func(context.Context) error, err error) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: SystemNamespace, Name: ManagerName}}
	set := func(ctx context.Context, args []string) error {
		if err := w.Client.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
			return err
		}
		before := d.DeepCopy()
		d.Spec.Template.Spec.Containers[0].Args = args
		if err := w.Client.Patch(ctx, d, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("change the manager's arguments: %w", err)
		}
		if err := w.awaitManager(ctx); err != nil {
			return err
		}
		// Those that end still do their work, with the arguments that they have.
		return await(ctx, w.Seen.Changed, func() error { return w.onlyReplicas(ctx, *d.Spec.Replicas) })
	}
	if err := w.Client.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
		return nil, err
	}
	old := d.Spec.Template.Spec.Containers[0].Args
	undo = func(ctx context.Context) error { return set(ctx, old) }
	return undo, set(ctx, append(slices.Clip(old), args...))
}

// onlyReplicas is an error while replicas that end are still there.
func (w *World) onlyReplicas(ctx context.Context, want int32) error {
	var pods corev1.PodList
	if err := w.Client.List(ctx, &pods, client.InNamespace(SystemNamespace)); err != nil {
		return err
	}
	if len(pods.Items) != int(want) {
		return fmt.Errorf("the manager has %d pods, want %d", len(pods.Items), want)
	}
	return nil
}

// Authority is the manager's own certificate authority, in PEM, as its Secret has it.
func (w *World) Authority(ctx context.Context) (*corev1.Secret, []byte, error) {
	s := &corev1.Secret{}
	err := w.Client.Get(ctx, client.ObjectKey{Namespace: SystemNamespace, Name: AuthoritySecret}, s)
	return s, s.Data["tls.crt"], err
}

// Bundle is what the API server trusts the manager by. An entry of the configuration that
// differs from the others is an error.
func (w *World) Bundle(ctx context.Context) (*admissionregistrationv1.MutatingWebhookConfiguration, []byte, error) {
	c := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := w.Client.Get(ctx, client.ObjectKey{Name: ManagerName}, c); err != nil {
		return nil, nil, err
	}
	bundle := c.Webhooks[0].ClientConfig.CABundle
	for _, entry := range c.Webhooks {
		if !bytes.Equal(entry.ClientConfig.CABundle, bundle) {
			return nil, nil, fmt.Errorf("webhook %s trusts others than webhook %s", entry.Name, c.Webhooks[0].Name)
		}
	}
	return c, bundle, nil
}

// Rotation is what has been seen of the manager's certificates.
type Rotation struct {
	world   *World
	CAs     map[string]bool
	Overlap bool // A bundle held two authorities.
	// Leaves are the ends of the certificates that each replica served, by its pod.
	Leaves map[string]map[time.Time]bool
}

// Rotation has seen nothing yet.
func (w *World) Rotation() *Rotation {
	return &Rotation{world: w, CAs: map[string]bool{}, Leaves: map[string]map[time.Time]bool{}}
}

// Look makes a new connection to each ready replica, and verifies it as the API server
// would at this moment. Where whom to trust is written meanwhile, that moment has passed: it looks again.
func (r *Rotation) Look(ctx context.Context) error {
	for {
		_, bundle, err := r.world.Bundle(ctx)
		if err != nil {
			return err
		}
		wrong := r.look(ctx, bundle)
		if wrong == nil {
			return nil
		}
		_, now, err := r.world.Bundle(ctx)
		if err != nil || bytes.Equal(now, bundle) {
			return errors.Join(wrong, err)
		}
	}
}

func (r *Rotation) look(ctx context.Context, bundle []byte) error {
	_, ca, err := r.world.Authority(ctx)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil {
		r.CAs[string(ca)] = true
	}
	r.Overlap = r.Overlap || bytes.Count(bundle, []byte("BEGIN CERTIFICATE")) > 1
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	var pods corev1.PodList
	if err := r.world.Client.List(ctx, &pods, client.InNamespace(SystemNamespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp != nil || !ready(p) {
			continue
		}
		end, err := r.world.handshake(ctx, p.Status.PodIP, roots)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", p.Name, err)
		}
		if r.Leaves[p.Name] == nil {
			r.Leaves[p.Name] = map[time.Time]bool{}
		}
		r.Leaves[p.Name][end] = true
	}
	return nil
}

// handshake returns when the certificate that is served ends.
func (w *World) handshake(ctx context.Context, address string, roots *x509.CertPool) (time.Time, error) {
	connection, err := w.Node.Dial(ctx, "tcp", net.JoinHostPort(address, "9443"))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = connection.Close() }()
	secured := tls.Client(
		connection,
		&tls.Config{RootCAs: roots, ServerName: ManagerName + "." + SystemNamespace + ".svc", MinVersion: tls.VersionTLS12},
	)
	if err := secured.HandshakeContext(ctx); err != nil {
		return time.Time{}, err
	}
	return secured.ConnectionState().PeerCertificates[0].NotAfter, nil
}

// Complete tells what is still to be seen: two changes of the authority with both trusted
// meanwhile, and on each of two replicas several certificates, one of which has expired.
func (r *Rotation) Complete() error {
	const several = 3
	var missing []string
	if len(r.CAs) < 3 || !r.Overlap {
		missing = append(missing, fmt.Sprintf("%d authorities seen, two trusted at once: %v", len(r.CAs), r.Overlap))
	}
	rotated := 0
	for _, leaves := range r.Leaves {
		expired := false
		for end := range leaves {
			expired = expired || time.Now().After(end)
		}
		if len(leaves) >= several && expired {
			rotated++
		}
	}
	if rotated < 2 {
		missing = append(missing, fmt.Sprintf("%d replicas have served several certificates until one expired", rotated))
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, "; "))
	}
	return nil
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
