// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/story"
)

// A chart that knows nothing of us gets a filled volume by the annotations, or by the
// labels, that it lets its user set.
func TestThirdPartyChart(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("site/", 6))
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}
	story.Update(s, space, func(n *corev1.Namespace) { n.Labels[v1alpha1.LabelInjection] = v1alpha1.InjectionEnabled })
	s.Source("website", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Prefix = "site"
		o.Spec.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"content": "website"}}
	})
	s.Await("the source to select claims", func() error {
		claim := s.NewClaim(story.Claim{Labels: map[string]string{"content": "website"}})
		if err := world.Client.Create(t.Context(), claim, client.DryRunAll); err != nil || claim.Spec.DataSourceRef == nil {
			return errors.Join(errors.New("a claim is not selected"), err)
		}
		return nil
	})
	viewer := checkout(t, "manifests/samples/third-party")
	for name, values := range map[string]string{"one": "annotated", "two": "selected"} {
		s.Helm("install", name, viewer, "--values", viewer+"/"+values+".values.yaml",
			"--set", "image="+image.Name("pause"), "--set", "persistence.storageClass="+story.LateDelete)
		claim, _ := s.Bound(name + "-content")
		s.AssertContent(s.Reader(claim), bucket.Under("site/"))
		s.Await("the chart's own pod to run", func() error {
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace}}
			if err := s.Find(d); err != nil || d.Status.AvailableReplicas != 1 {
				return errors.Join(errors.New("it does not"), err)
			}
			return nil
		})
		s.Helm("uninstall", name, "--wait")
		s.Gone(claim)
	}
}
