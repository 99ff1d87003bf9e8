// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Interruption tells what ended a mover that could not report: the words of whoever evicted
// it, or that it was deleted.
func Interruption(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return fmt.Sprintf("Pod %s was ended from outside, %s: %s", pod.Name, c.Reason, c.Message)
		}
	}
	return fmt.Sprintf("Pod %s was deleted by someone else before it had ended.", pod.Name)
}
