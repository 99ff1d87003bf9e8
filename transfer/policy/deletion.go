// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/selection"
)

// mostNames are told of at once.
const mostNames = 3

// decidedElsewhere tells of claims that an older policy selects as well: that one decides where they are exported to
// before they are deleted. Package final exports them.
func decidedElsewhere(s state, claims []*corev1.PersistentVolumeClaim) string {
	if !s.Policy.Spec.OnDelete {
		return ""
	}
	var names []string
	var older string
	for _, claim := range claims {
		if annotated.ExportOnDeleteAsked(claim) {
			continue // Its own annotations decide. Without a place they do not.
		}
		if first := decides(s, claim); first != "" {
			names, older = append(names, claim.Name), first
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" Of the claims, %s are selected by an older policy with onDelete as well, such as S3ExportPolicy "+
		"%s, which decides where they are exported to before they are deleted. Correct spec.claimSelector of one of them.",
		few(names), older)
}

// decides is the oldest policy that exports a claim before it goes; empty where that is this one.
func decides(s state, claim *corev1.PersistentVolumeClaim) string {
	first := s.Policy
	for i := range s.Policies {
		other := &s.Policies[i]
		if !other.Spec.OnDelete || other.UID == s.Policy.UID || selection.Compare(other, first) >= 0 {
			continue
		}
		if selector, err := selection.Of(other); err == nil && selector.Selects(claim) {
			first = other
		}
	}
	if first == s.Policy {
		return ""
	}
	return first.Name
}

// few are the first names of a list, and how many there are.
func few(names []string) string {
	if len(names) <= mostNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), len(names)-mostNames)
}

// newlyDecided tells that the condition did not say so before.
func newlyDecided(s state, text string) bool {
	return strings.Contains(text, olderDecides) && !strings.Contains(messageOf(s.Policy), olderDecides)
}

const olderDecides = "are selected by an older policy"

func messageOf(policy *v1alpha1.S3ExportPolicy) string {
	if ready := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Message
	}
	return ""
}
