// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func TestSelects(t *testing.T) {
	team, made := map[string]string{"team": "ml"}, map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	for name, tt := range map[string]struct {
		selector metav1.LabelSelector
		claim    string
		labels   map[string]string
		want     bool
	}{
		"by a label":           {metav1.LabelSelector{MatchLabels: team}, "data", team, true},
		"another label":        {metav1.LabelSelector{MatchLabels: team}, "data", map[string]string{"team": "x"}, false},
		"all":                  {metav1.LabelSelector{}, "data", nil, true},
		"one that we make":     {metav1.LabelSelector{}, "x", made, false},
		"a prime, no labels":   {metav1.LabelSelector{}, "s3prime-1", nil, false},
		"an export claim, too": {metav1.LabelSelector{}, "s3export-1", nil, false},
	} {
		s, err := Of(&v1alpha1.S3ExportPolicy{Spec: v1alpha1.S3ExportPolicySpec{ClaimSelector: tt.selector}})
		if err != nil {
			t.Fatal(err)
		}
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: tt.claim, Labels: tt.labels}}
		if got := s.Selects(claim); got != tt.want {
			t.Errorf("%s: selected %t, want %t", name, got, tt.want)
		}
	}
	_, err := Of(&v1alpha1.S3ExportPolicy{Spec: v1alpha1.S3ExportPolicySpec{ClaimSelector: metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}},
	}}})
	if err == nil || !strings.Contains(err.Error(), "spec.claimSelector: \"Like\"") {
		t.Errorf("an operator that there is not: %v", err)
	}
}

func TestTheOldestComesFirst(t *testing.T) {
	made := func(name string, at int64) *v1alpha1.S3ExportPolicy {
		return &v1alpha1.S3ExportPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(at, 0))},
		}
	}
	all := []*v1alpha1.S3ExportPolicy{made("b", 5), made("a", 5), made("c", 4)}
	slices.SortFunc(all, Compare)
	if all[0].Name != "c" || all[1].Name != "a" {
		t.Errorf("%s comes first, then %s", all[0].Name, all[1].Name)
	}
}
