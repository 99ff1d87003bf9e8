// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// bundleKey of the CA's Secret holds every CA that may still be served from. It is written
// before the webhook configuration is, so that whatever is published survives a restart.
const bundleKey = "ca-bundle.crt"

// Pace of the publisher. lookAgain prunes CAs and catches a lost watch; a failing write is
// repeated after 1 s, 2 s, then every 4 s, so that a damage is healed within 10 s of its
// cause. A tug of war over the caBundle costs two writes a second at most.
const (
	lookAgain   = 5 * time.Second
	firstRetry  = time.Second
	lastRetry   = 4 * time.Second
	passesASec  = 2
	passesBurst = 5
)

// publisher keeps the Secret's bundle and the webhook configuration's caBundles equal to
// what clients have to trust. Each replica runs one; they write the same.
type publisher struct {
	options   Options
	client    kubernetes.Interface
	selection *leafSelection
	view      view
	wake      chan struct{}

	mu      sync.Mutex
	known   bundle // Survives the deletion of the Secret.
	problem error
}

func newPublisher(o Options, client kubernetes.Interface, s *leafSelection) *publisher {
	p := &publisher{options: o, client: client, selection: s, wake: make(chan struct{}, 1)}
	p.problem = fmt.Errorf(
		"the Secret %s/%s and the MutatingWebhookConfiguration %q are not read yet",
		o.Namespace,
		o.SecretName,
		o.WebhookConfiguration,
	)
	return p
}

func (p *publisher) trusted() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.text()
}

// why tells what keeps the CA from being published.
func (p *publisher) why() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.problem == nil {
		return errors.New("it will be in a moment")
	}
	return p.problem
}

func (p *publisher) run(ctx context.Context) error {
	done, err := p.watch(ctx)
	if err != nil {
		return err
	}
	defer done()
	pace := rate.NewLimiter(passesASec, passesBurst)
	for failures := 0; pace.Wait(ctx) == nil; {
		wake, pause := p.wake, lookAgain
		if err := p.attempt(ctx); err != nil {
			log.FromContext(ctx).Error(err, "Cannot publish the CA yet")
			wake, pause = nil, min(firstRetry<<failures, lastRetry) // Events do not hasten a failing write.
			failures = min(failures+1, 8)
		} else {
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-time.After(pause):
		}
	}
	return nil
}

// attempt is one pass whose outcome Ready can tell of. A conflict means that somebody was
// faster; their write wakes us.
func (p *publisher) attempt(ctx context.Context) error {
	err := p.pass(ctx)
	if apierrors.IsConflict(err) || ctx.Err() != nil {
		err = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problem = err
	return err
}

// pass makes at most one write; the watch event of each begins the next pass.
func (p *publisher) pass(ctx context.Context) error {
	secret, config := p.view.secret(), p.view.config()
	current := signer(secret)
	if current == nil {
		return nil // The library makes one, and its event wakes us.
	}
	now := p.options.Now()
	want := p.learn(current, secret, config, now)
	text := want.text()
	switch {
	case !bytes.Equal(secret.Data[bundleKey], text):
		return p.record(ctx, secret, text)
	case config == nil || len(config.Webhooks) == 0: // Nobody calls a webhook of ours.
		p.selection.publish(want.keys(), now)
		return nil
	}
	p.selection.publish(inEveryEntry(config), now)
	patch, err := injection(config, text)
	if err != nil || patch == nil {
		return err
	}
	return p.inject(ctx, secret, patch)
}

// learn adds what the Secret holds to what we know, and forgets what is over. A Secret
// without a bundle is new: then a replica that has just started takes the CAs of its
// siblings from where they are published.
func (p *publisher) learn(
	current *x509.Certificate,
	secret *corev1.Secret,
	config *admissionv1.MutatingWebhookConfiguration,
	now time.Time,
) bundle {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := append(bundle{}, p.known...)
	known = append(known, parse(secret.Data[bundleKey]).authorities()...)
	if _, ok := secret.Data[bundleKey]; !ok && config != nil {
		for _, w := range config.Webhooks {
			known = append(known, parse(w.ClientConfig.CABundle).authorities()...)
		}
	}
	p.known = overlap(current, known, now, 2*p.options.LeafDuration)
	return p.known
}

// record writes the bundle beside the CA; the resourceVersion of the Secret guards a CA
// that was made meanwhile.
func (p *publisher) record(ctx context.Context, secret *corev1.Secret, text []byte) error {
	secret = secret.DeepCopy()
	secret.Data[bundleKey] = text
	if _, err := p.client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{}); err != nil &&
		!apierrors.IsNotFound(err) {
		return fmt.Errorf("write %s into Secret %s/%s: %w", bundleKey, secret.Namespace, secret.Name, err)
	}
	return nil
}
