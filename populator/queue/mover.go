// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"cmp"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// Mover is a pod of ours as far as it counts.
type Mover struct {
	Use

	Role string
	// Runs tells that it takes a place.
	Runs bool
	// Last tells that no other pod of the same run follows it.
	Last    bool
	Created time.Time
}

// lostAfter is how long after its deletion was due a pod still counts: on a node that does
// not answer it would count for ever.
const lostAfter = time.Minute

// MoverOf reads a pod. One that the scheduler has no node for takes no place: it reads
// nothing, and a tenant who asks for nodes that do not exist must not stop the others.
func MoverOf(pod *corev1.Pod, now time.Time) Mover {
	role := pod.Labels[v1alpha1.LabelRole]
	m := Mover{
		Use: Use{
			UID: types.UID(pod.Labels[v1alpha1.LabelClaimUID]), Namespace: pod.Namespace, Places: 1,
			Endpoint: pod.Annotations[v1alpha1.AnnotationEndpointHost], Source: pod.Labels[v1alpha1.LabelSourceUID],
		},
		Role:    role,
		Runs:    runs(pod, now),
		Last:    role != v1alpha1.RoleConsumer,
		Created: pod.CreationTimestamp.Time,
	}
	switch role {
	case v1alpha1.RoleInventory:
		m.UID = types.UID(m.Source)
	case v1alpha1.RoleExport, v1alpha1.RoleAbort, v1alpha1.RolePrune:
		m.UID = types.UID(pod.Labels[v1alpha1.LabelExportUID])
	case v1alpha1.RoleConsumer:
		m.UID = types.UID(cmp.Or(pod.Labels[v1alpha1.LabelClaimUID], pod.Labels[v1alpha1.LabelExportUID]))
	case v1alpha1.RoleImport:
		m.UID = types.UID(pod.Labels[v1alpha1.LabelImportUID])
	}
	return m
}

func runs(pod *corev1.Pod, now time.Time) bool {
	if _, ended := moverpod.Ending(pod); ended {
		return false
	}
	if t := pod.DeletionTimestamp; t != nil && now.Sub(t.Time) > lostAfter {
		return false
	}
	if pod.Spec.NodeName != "" {
		return true
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return false
		}
	}
	return true // The scheduler has not spoken yet.
}

// Freed tells that a change of a pod gave a place back.
func Freed(was, is *corev1.Pod, now time.Time) bool {
	return runs(was, now) && !runs(is, now)
}

// Host is what an endpoint is counted by; empty without one.
func Host(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}
