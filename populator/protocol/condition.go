// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// messageLimit keeps a condition readable; events are cut by the API server at 1024 bytes.
const messageLimit = 1000

// Condition is what the claim's condition becomes; false where it stays as it is.
func Condition(s State, d Decision) (corev1.PersistentVolumeClaimCondition, bool) {
	if d.Reason == "" || s.Claim.DeletionTimestamp != nil && d.Reason != v1alpha1.ReasonMoverLost {
		return corev1.PersistentVolumeClaimCondition{}, false
	}
	was, _ := Populated(s.Claim)
	next := corev1.PersistentVolumeClaimCondition{
		Type:    v1alpha1.ConditionPopulated,
		Status:  d.Status,
		Reason:  string(d.Reason),
		Message: cut(d.Message),

		LastTransitionTime: was.LastTransitionTime,
	}
	if was.Status != next.Status {
		next.LastTransitionTime = metav1.NewTime(s.Now)
	}
	return next, !equality.Semantic.DeepEqual(was, next)
}

func cut(message string) string {
	if len(message) <= messageLimit {
		return message
	}
	n := messageLimit
	for n > 0 && message[n]&0xC0 == 0x80 { // Never inside a character.
		n--
	}
	return message[:n] + "…"
}
