// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

func configuration(bundles ...string) *admissionv1.MutatingWebhookConfiguration {
	c := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "s3populator", ResourceVersion: "7"},
	}
	for i, b := range bundles {
		c.Webhooks = append(c.Webhooks, admissionv1.MutatingWebhook{
			Name: string(rune('a'+i)) + ".s3populator.io",
			ClientConfig: admissionv1.WebhookClientConfig{
				CABundle: []byte(b),
				Service:  &admissionv1.ServiceReference{Name: "s", Namespace: "n"},
			},
			AdmissionReviewVersions: []string{"v1"},
		})
	}
	return c
}

func TestInjectionTouchesOnlyWhatDiffers(t *testing.T) {
	tests := map[string]struct {
		have    []string
		wantNil bool
	}{
		"entries without a bundle":     {have: []string{"", ""}},
		"one entry written over":       {have: []string{"want", "by hand"}},
		"all as they should be":        {have: []string{"want", "want"}, wantNil: true},
		"a configuration without hook": {wantNil: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			config := configuration(tt.have...)
			patch, err := injection(config, []byte("want"))
			if err != nil || (patch == nil) != tt.wantNil {
				t.Fatalf("patch %s, %v; want none: %t", patch, err, tt.wantNil)
			}
			if patch == nil {
				return
			}
			if !bytes.Contains(patch, []byte(`"resourceVersion":"7"`)) {
				t.Errorf("patch %s is not guarded: a configuration that was not seen would be written over", patch)
			}
			original, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			merged, err := strategicpatch.StrategicMergePatch(original, patch, admissionv1.MutatingWebhookConfiguration{})
			if err != nil {
				t.Fatal(err)
			}
			got := &admissionv1.MutatingWebhookConfiguration{}
			if err := json.Unmarshal(merged, got); err != nil {
				t.Fatal(err)
			}
			all := make([]string, len(tt.have))
			for i := range all {
				all[i] = "want"
			}
			if diff := cmp.Diff(configuration(all...), got); diff != "" {
				t.Errorf("patched configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACAIsPublishedWhenEveryEntryTrustsIt(t *testing.T) {
	a, b := newCA(t, caName, 0, time.Hour), newCA(t, caName, 0, time.Hour)
	one, two, none := string(bundle{a}.text()), string(bundle{a, b}.text()), "by hand"
	tests := map[string]struct {
		have []string
		want map[string]bool
	}{
		"the same in all entries":           {have: []string{two, two}, want: bundle{a, b}.keys()},
		"one entry lags behind":             {have: []string{two, one}, want: bundle{a}.keys()},
		"whichever it is":                   {have: []string{one, two}, want: bundle{a}.keys()},
		"one entry was written over":        {have: []string{two, none, two}, want: map[string]bool{}},
		"the first entry was written over":  {have: []string{none, two}, want: map[string]bool{}},
		"a single entry":                    {have: []string{one}, want: bundle{a}.keys()},
		"no entry has anything at all":      {have: []string{"", ""}, want: map[string]bool{}},
		"more than ours in one of the two":  {have: []string{two + one, two}, want: bundle{a, b}.keys()},
		"the order of certificates differs": {have: []string{string(bundle{b, a}.text()), two}, want: bundle{a, b}.keys()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, inEveryEntry(configuration(tt.have...))); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}
