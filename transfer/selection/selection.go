// SPDX-License-Identifier: Apache-2.0

// Package selection tells which claims an S3ExportPolicy is about, and which of several policies comes first. It
// is pure.
package selection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ours begin the names of claims that the manager makes, to fill one of a user's or to export it. A name counts
// too, because anybody may take labels off.
var ours = []string{"s3prime-", "s3export-"}

// Selector is the claimSelector of a policy.
type Selector struct{ labels labels.Selector }

// Of reads the claimSelector of a policy. The error names what is wrong with it.
func Of(policy *v1alpha1.S3ExportPolicy) (Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.ClaimSelector)
	if err != nil {
		return Selector{}, fmt.Errorf("spec.claimSelector: %w; correct it", err)
	}
	return Selector{selector}, nil
}

// Selects tells whether a claim of the policy's namespace is one that it exports. Claims that the manager makes are
// nobody's to export.
func (s Selector) Selects(claim *corev1.PersistentVolumeClaim) bool {
	made := claim.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy ||
		slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(claim.Name, prefix) })
	return !made && s.labels.Matches(labels.Set(claim.Labels))
}

// Compare orders policies by who decides where a claim goes before it is deleted, if several select it: the
// oldest, and of those of one second the first by name.
func Compare(a, b *v1alpha1.S3ExportPolicy) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}
