// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Buckets of policies, and the label by which they select claims.
const (
	goodBucket  = "backups"
	badBucket   = "gone"
	labelPolicy = "export"
)

// policyActions are those of an administrator who keeps policies that export claims before they go.
func (d *departure) policyActions() []action {
	w := d.w
	if !d.policies || w.leaving(namespace) {
		return nil
	}
	var list []action
	add := func(what string, weight int, do func()) {
		list = append(list, action{"administrator", what, weight, do})
	}
	for _, name := range []string{"nightly", "weekly"} {
		p, ok := one[*v1alpha1.S3ExportPolicy](w.server, namespace, name)
		if !ok {
			add("makes policy "+name, 6, func() { d.createPolicy(name) })
			continue
		}
		add("deletes policy "+name, 1, func() { w.must(w.delete(p, client.DeleteOptions{})) })
		add("changes policy "+name, 2, func() {
			bucket, on := pick(w.choices, goodBucket, goodBucket, badBucket), !w.choices.oneIn(4)
			edit(w.server, p, func(p *v1alpha1.S3ExportPolicy) {
				p.Spec.OnDelete, p.Spec.Template.Destination.Bucket = on, bucket
			})
		})
	}
	for _, name := range claimsOfUsers {
		if c := w.claim(name); c != nil {
			add("labels claim "+name, 1, func() {
				value := pick(w.choices, "yes", "no")
				edit(w.server, c, func(c *corev1.PersistentVolumeClaim) { c.Labels = map[string]string{labelPolicy: value} })
			})
		}
	}
	return list
}

func (d *departure) createPolicy(name string) {
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	p.Spec.OnDelete = !d.w.choices.oneIn(4)
	p.Spec.ClaimSelector.MatchLabels = map[string]string{labelPolicy: "yes"}
	if d.w.choices.oneIn(4) {
		p.Spec.ClaimSelector.MatchLabels = nil // All of the namespace, the manager's own among them.
	}
	p.Spec.Template.Destination.Endpoint = "http://s3"
	p.Spec.Template.Destination.Bucket = pick(d.w.choices, goodBucket, goodBucket, badBucket)
	d.w.must(d.w.create(p))
}

// policyOf is the policy that decides where a claim goes: the oldest that selects it.
func (d *departure) policyOf(c *corev1.PersistentVolumeClaim) *v1alpha1.S3ExportPolicy {
	policies := slices.DeleteFunc(all[*v1alpha1.S3ExportPolicy](d.w.server), func(p *v1alpha1.S3ExportPolicy) bool {
		labels := p.Spec.ClaimSelector.MatchLabels
		return !p.Spec.OnDelete || len(labels) > 0 && c.Labels[labelPolicy] != labels[labelPolicy]
	})
	if len(policies) == 0 {
		return nil
	}
	return slices.MinFunc(policies, func(a, b *v1alpha1.S3ExportPolicy) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// asksItself tells that the annotations of a claim ask for its export before it goes.
func asksItself(c *corev1.PersistentVolumeClaim) bool {
	return c.Annotations[v1alpha1.AnnotationExportOnDelete] == "true" && c.Annotations[v1alpha1.AnnotationExportTo] != ""
}

// reachable tells that a claim is to be exported to a bucket that there is.
func (d *departure) reachable(c *corev1.PersistentVolumeClaim) bool {
	if p := d.policyOf(c); p != nil && !asksItself(c) {
		return p.Spec.Template.Destination.Bucket == goodBucket
	}
	return c.Annotations[v1alpha1.AnnotationExportTo] == goodPlace
}

// correctPolicies is what their owners do when they read that a bucket is gone.
func (d *departure) correctPolicies() {
	for _, p := range all[*v1alpha1.S3ExportPolicy](d.w.server) {
		edit(d.w.server, p, func(p *v1alpha1.S3ExportPolicy) { p.Spec.Template.Destination.Bucket = goodBucket })
	}
}
