// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// inject writes the caBundles, unless our picture of the Secret is old: a CA that we have
// not heard of yet may be published already, and served from.
func (p *publisher) inject(ctx context.Context, secret *corev1.Secret, patch []byte) error {
	live, err := p.client.CoreV1().Secrets(secret.Namespace).Get(ctx, secret.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil // The event of its deletion is under way.
	case err != nil:
		return fmt.Errorf("read Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	case live.ResourceVersion != secret.ResourceVersion:
		return nil // The event of the newer one is under way.
	}
	name := p.options.WebhookConfiguration
	_, err = p.client.AdmissionregistrationV1().MutatingWebhookConfigurations().
		Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "s3populator"})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write caBundle into MutatingWebhookConfiguration %s: %w", name, err)
	}
	log.FromContext(ctx).Info("Published the CA", "mutatingWebhookConfiguration", name)
	return nil
}

// injection is the patch that brings the text into every entry that lacks it; nil when
// none does. Entries are merged by name.
func injection(config *admissionv1.MutatingWebhookConfiguration, text []byte) ([]byte, error) {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type entry struct {
		Name         string       `json:"name"`
		ClientConfig clientConfig `json:"clientConfig"`
	}
	var entries []entry
	for _, w := range config.Webhooks {
		if !bytes.Equal(w.ClientConfig.CABundle, text) {
			entries = append(entries, entry{Name: w.Name, ClientConfig: clientConfig{CABundle: text}})
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": config.ResourceVersion},
		"webhooks": entries,
	})
	if err != nil {
		return nil, fmt.Errorf("encode caBundles: %w", err)
	}
	return patch, nil
}

// inEveryEntry are the keys of the CAs that all entries trust.
func inEveryEntry(config *admissionv1.MutatingWebhookConfiguration) map[string]bool {
	var all map[string]bool
	for _, w := range config.Webhooks {
		keys := parse(w.ClientConfig.CABundle).keys()
		if all == nil {
			all = keys
		}
		for key := range all {
			if !keys[key] {
				delete(all, key)
			}
		}
	}
	return all
}
