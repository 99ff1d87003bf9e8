// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// testChange: what is there is judged only where it changes.
func (c *cast) testChange(t *testing.T) {
	url := annotate(v1alpha1.AnnotationURL, "s3://datasets/")
	described, plain := newClaim("plain", "described", url, reference), newClaim("plain", "undescribed")
	exported := newClaim("plain", "exported", annotate(v1alpha1.AnnotationExportTo, "s3://backups/"),
		annotate(v1alpha1.AnnotationExportSecret, "s3"))
	refreshed := newClaim("plain", "refreshed", reference, annotate(v1alpha1.AnnotationImportNow, "1"),
		annotate(v1alpha1.AnnotationImportedNow, "1"))
	c.create(t, refreshed)
	c.create(t, described)
	c.create(t, exported)
	c.create(t, plain)
	tests := map[string]struct {
		who         string
		claim       *corev1.PersistentVolumeClaim
		patch       string // Of the annotations.
		labels      string // The patch of the labels.
		subresource string
		want        string
	}{
		"a label of a described claim": {who: claimer, claim: described, patch: `{"x":"y"}`},
		"the same URL": {
			who:   claimer,
			claim: described,
			patch: `{"s3populator.io/url":"s3://datasets/"}`,
		},
		"another URL": {
			who:   claimer,
			claim: described,
			patch: `{"s3populator.io/url":"s3://others/"}`,
			want:  "s3populator.io/url makes",
		},
		"another URL by one who may create pods": {
			who:   podder,
			claim: described,
			patch: `{"s3populator.io/url":"s3://others/"}`,
		},
		"a companion": {
			who:   claimer,
			claim: described,
			patch: `{"s3populator.io/service-account":"admin"}`,
			want:  "s3populator.io/service-account makes",
		},
		"a companion, by way of the status": {
			who:         claimer,
			claim:       described,
			subresource: "status",
			patch:       `{"s3populator.io/service-account":"admin"}`,
			want:        "s3populator.io/service-account makes",
		},
		"a URL that is taken away": {who: claimer, claim: described, patch: `{"s3populator.io/url":null}`},
		"a URL on a claim that had none": {
			who:   claimer,
			claim: plain,
			patch: `{"s3populator.io/url":"s3://datasets/"}`,
			want:  "s3populator.io/url makes",
		},
		"a source on a claim that had none is told": {
			who:   claimer,
			claim: plain,
			patch: `{"s3populator.io/source":"imagenet"}`,
		},
		"an export by one who may": {
			who: exporter, claim: plain, patch: `{"s3populator.io/export-to":"s3://backups/"}`,
		},
		"an export by one who may not": {
			who: claimer, claim: plain, patch: `{"s3populator.io/export-to":"s3://backups/"}`,
			want: "s3populator.io/export-to makes",
		},
		"a token by one who may not": {
			who: claimer, claim: exported, patch: `{"s3populator.io/export-now":"2"}`,
			want: "s3populator.io/export-now makes",
		},
		"a companion of an export, by way of the status": {
			who: claimer, claim: exported, subresource: "status", patch: `{"s3populator.io/export-service-account":"admin"}`,
			want: "s3populator.io/export-service-account makes",
		},
		"a companion of an export that is taken away": {
			who: claimer, claim: exported, patch: `{"s3populator.io/export-secret":null}`,
			want: "s3populator.io/export-secret makes",
		},
		"a note of the manager by one who may not": {
			who: claimer, claim: exported, patch: `{"s3populator.io/exported-now":"2"}`,
			want: "s3populator.io/exported-now makes",
		},
		"a note of the manager by one who may": {
			who: exporter, claim: exported, patch: `{"s3populator.io/exported-now":"2"}`,
		},
		"a note on a claim without exports": {
			who: claimer, claim: plain, patch: `{"s3populator.io/exported-now":"2"}`,
		},
		"a token for an import by one who may": {
			who: importer, claim: described, patch: `{"s3populator.io/import-now":"2"}`,
		},
		"a token for an import by one who may not": {
			who: claimer, claim: described, patch: `{"s3populator.io/import-now":"2"}`,
			want: "s3populator.io/import-now makes",
		},
		"the same, by way of the status": {
			who: claimer, claim: described, subresource: "status", patch: `{"s3populator.io/import-now":"2"}`,
			want: "s3populator.io/import-now makes",
		},
		"a note of an import by one who may not": {
			who: claimer, claim: refreshed, patch: `{"s3populator.io/imported-now":null}`,
			want: "s3populator.io/imported-now makes",
		},
		"a label of a refreshed claim": {who: claimer, claim: refreshed, patch: `{"x":"y"}`},
		"an import that is taken away": {
			who: claimer, claim: refreshed, patch: `{"s3populator.io/import-now":null,"s3populator.io/imported-now":null}`,
		},
		"a label of an exported claim": {who: claimer, claim: exported, patch: `{"x":"y"}`},
		"exports that are taken away": {
			who: claimer, claim: exported, patch: `{"s3populator.io/export-to":null,"s3populator.io/export-secret":null}`,
		},
		"an export by a label": {
			who: root, claim: exported, labels: `{"s3populator.io/export-on-delete":"true"}`,
			want: "label s3populator.io/export-on-delete has no effect",
		},
		"another label of ours": {who: root, claim: exported, labels: `{"s3populator.io/export":"nightly"}`},
		"names that are no keys, by one who may not": {
			who: claimer, claim: exported, patch: `{"s3populator.io/export-unsafe-paths":"Skip"}`,
			want: "s3populator.io/export-unsafe-paths makes",
		},
		"names that are no keys": {who: exporter, claim: exported, patch: `{"s3populator.io/export-unsafe-paths":"Skip"}`},
		"a misspelt export": {
			who: root, claim: plain, patch: `{"s3populator.io/export-tu":"s3://backups/"}`,
			want: "annotation s3populator.io/export-tu is not known",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			patch := client.RawPatch("application/merge-patch+json", []byte(fmt.Sprintf(
				`{"metadata":{"annotations":%s,"labels":%s}}`, cmp.Or(tt.patch, "{}"), cmp.Or(tt.labels, "{}"))))
			user := c.as[tt.who]
			if tt.subresource != "" {
				checkOutcome(
					t,
					"change",
					user.SubResource(
						tt.subresource,
					).Patch(
						t.Context(),
						tt.claim.DeepCopy(),
						patch,
						&client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{DryRun: []string{metav1.DryRunAll}}},
					),
					tt.want,
				)
				return
			}
			checkOutcome(t, "change", user.Patch(t.Context(), tt.claim.DeepCopy(), patch, client.DryRunAll), tt.want)
		})
	}
}

func s3ExportPolicy(selector metav1.LabelSelector) *v1alpha1.S3ExportPolicy {
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "plain"}}
	p.Spec.ClaimSelector, p.Spec.Schedule = selector, "@daily"
	p.Spec.Template.Destination.Region, p.Spec.Template.Destination.Bucket = "x", "backups"
	return p
}

// testSelectors: what LabelSelectorAsSelector cannot read is refused, and nothing else.
func (c *cast) testSelectors(t *testing.T) {
	one := func(key string, operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}},
		}
	}
	labels := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	for name, selector := range map[string]*metav1.LabelSelector{
		"none":                    nil,
		"all":                     {},
		"a label":                 labels("app", "x"),
		"a prefix":                labels("example.com/App_1.x", ""),
		"an empty value":          labels("app", ""),
		"a value with a space":    labels("app", "a b"),
		"a long value":            labels("app", strings.Repeat("x", 64)),
		"a key with a space":      labels("a b", "x"),
		"two prefixes":            labels("a/b/c", "x"),
		"no key":                  labels("", "x"),
		"a long key":              labels(strings.Repeat("x", 64), "x"),
		"upper case in a prefix":  labels("Example.com/a", "x"),
		"in":                      one("app", metav1.LabelSelectorOpIn, "a", "b"),
		"in nothing":              one("app", metav1.LabelSelectorOpIn),
		"not in nothing":          one("app", metav1.LabelSelectorOpNotIn),
		"in a value with a space": one("app", metav1.LabelSelectorOpIn, "a", "b c"),
		"exists":                  one("app", metav1.LabelSelectorOpExists),
		"exists with a value":     one("app", metav1.LabelSelectorOpExists, "x"),
		"does not exist":          one("app", metav1.LabelSelectorOpDoesNotExist),
		"another operator":        one("app", "Equals", "x"),
		"a key of an expression":  one("-app", metav1.LabelSelectorOpExists),
		"not in":                  one("a/b", metav1.LabelSelectorOpNotIn, ""),
	} {
		t.Run(name, func(t *testing.T) {
			source := &v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "plain"}}
			source.Spec.Region, source.Spec.Bucket, source.Spec.ClaimSelector = "x", "datasets", selector
			want := ""
			if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
				want = "spec.claimSelector"
			}
			checkOutcome(t, "creation", c.Create(t.Context(), source, client.DryRunAll), want)
			if selector != nil { // A policy needs one.
				checkOutcome(t, "creation of a policy", c.Create(t.Context(), s3ExportPolicy(*selector), client.DryRunAll), want)
			}
		})
	}
}
