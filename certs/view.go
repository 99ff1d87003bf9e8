// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/x509"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// view is what the API server last told of the two objects; each is nil when absent.
type view struct {
	secrets, configs cache.Store
	secretKey        string
	configKey        string
}

func (v view) secret() *corev1.Secret {
	if o, ok, err := v.secrets.GetByKey(v.secretKey); err == nil && ok {
		return o.(*corev1.Secret)
	}
	return nil
}

func (v view) config() *admissionv1.MutatingWebhookConfiguration {
	if v.configs == nil {
		return nil
	}
	if o, ok, err := v.configs.GetByKey(v.configKey); err == nil && ok {
		return o.(*admissionv1.MutatingWebhookConfiguration)
	}
	return nil
}

// watch follows exactly the two objects that we were named, so that rights on those two
// suffice, and returns when both were read. The returned function waits for its end.
func (p *publisher) watch(ctx context.Context) (func(), error) {
	o := p.options
	secrets := informers.NewSharedInformerFactoryWithOptions(
		p.client,
		0,
		informers.WithNamespace(o.Namespace),
		only(o.SecretName),
	)
	configs := informers.NewSharedInformerFactoryWithOptions(p.client, 0, only(o.WebhookConfiguration))
	watched := []cache.SharedIndexInformer{secrets.Core().V1().Secrets().Informer()}
	p.view = view{secrets: watched[0].GetStore(), secretKey: o.Namespace + "/" + o.SecretName}
	if o.WebhookConfiguration != "" {
		watched = append(watched, configs.Admissionregistration().V1().MutatingWebhookConfigurations().Informer())
		p.view.configs, p.view.configKey = watched[1].GetStore(), o.WebhookConfiguration
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { p.poke() },
		UpdateFunc: func(any, any) { p.poke() },
		DeleteFunc: func(any) { p.poke() },
	}
	for _, i := range watched {
		if _, err := i.AddEventHandler(handler); err != nil {
			return nil, fmt.Errorf("watch for certificates: %w", err)
		}
	}
	secrets.Start(ctx.Done())
	configs.Start(ctx.Done())
	for _, i := range watched {
		cache.WaitForCacheSync(ctx.Done(), i.HasSynced) // False only when ctx has ended, which the caller sees.
	}
	return func() { secrets.Shutdown(); configs.Shutdown() }, nil
}

func only(name string) informers.SharedInformerOption {
	return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	})
}

// poke asks for a pass; pokes that come while one is due are one.
func (p *publisher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// signer is the CA that the Secret signs with now.
func signer(secret *corev1.Secret) *x509.Certificate {
	if secret == nil {
		return nil
	}
	if found := parse(secret.Data[corev1.TLSCertKey]); len(found) > 0 && found[0].IsCA {
		return found[0]
	}
	return nil
}
