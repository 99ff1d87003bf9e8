// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// onNode adds to what a user wants of a node that it is this one. The scheduler still decides whether
// the pod fits there: a nodeName would pass it by, with quotas of the node and taints. Terms are
// alternatives, so each has to name the node.
func onNode(own *corev1.Affinity, node string) *corev1.Affinity {
	if node == "" {
		return own
	}
	a := own.DeepCopy()
	if a == nil {
		a = &corev1.Affinity{}
	}
	if a.NodeAffinity == nil {
		a.NodeAffinity = &corev1.NodeAffinity{}
	}
	required := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
		a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = required
	}
	for i := range required.NodeSelectorTerms {
		t := &required.NodeSelectorTerms[i]
		t.MatchFields = append(t.MatchFields, corev1.NodeSelectorRequirement{
			Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		})
	}
	return a
}

// together adds that the pods with these labels share a node: a volume that one node at a time can mount must not be
// waited for on another one. The scheduler lets the first of them choose.
func together(own *corev1.Affinity, labels map[string]string) *corev1.Affinity {
	if len(labels) == 0 {
		return own
	}
	a := own.DeepCopy()
	if a == nil {
		a = &corev1.Affinity{}
	}
	if a.PodAffinity == nil {
		a.PodAffinity = &corev1.PodAffinity{}
	}
	a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(
		a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, corev1.PodAffinityTerm{
			LabelSelector: &metav1.LabelSelector{MatchLabels: labels}, TopologyKey: corev1.LabelHostname,
		})
	return a
}
