// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A quota that allows no S3Import costs the view of the progress, and nothing else: the claim
// is bound and told to be complete, its prime goes, and one event says what was refused.
func TestImportsForbidden(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonWriteRefused)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "imports", Namespace: s.Namespace},
		Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{"count/s3imports.s3populator.io": resource.MustParse("0")},
		},
	}
	s.Create(quota)
	s.QuotaCounts(quota)
	s.Await("an S3Import to be refused", func() error { // Admission learns of the count a moment after it is there.
		asked := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Name: "asked", Namespace: s.Namespace}}
		asked.Spec.ClaimName, asked.Spec.SourceName = "asked", "source"
		err := world.Client.Create(t.Context(), asked, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			return errors.Join(errors.New("it is not"), err)
		}
		return nil
	})
	claim, _ := s.Bound(s.Claim(story.Claim{Source: "source"}).Name)
	s.AssertContent(s.Reader(claim), bucket.Under(""))
	s.NothingMade(claim)
	s.WaitForEvent(claim, string(v1alpha1.ReasonWriteRefused), "")
}
