// SPDX-License-Identifier: Apache-2.0

// Package claimusers tells which pods use a claim, where its volume is mounted for them, and as whom. A mover
// that works on a volume in use goes there, as they do. It is pure.
package claimusers

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Of are the pods that have not ended and name a claim, but for those of the run that asks.
func Of(pods []corev1.Pod, claim string, own func(*corev1.Pod) bool) []corev1.Pod {
	var users []corev1.Pod
	for i := range pods {
		p := &pods[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || own(p) {
			continue
		}
		if len(volumesOf(p, claim)) > 0 {
			users = append(users, *p)
		}
	}
	return users
}

// volumesOf are the names of a pod's volumes that are the claim: named, or made for the pod.
func volumesOf(p *corev1.Pod, claim string) []string {
	var names []string
	for _, v := range p.Spec.Volumes {
		named := v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		if named || v.Ephemeral != nil && p.Name+"-"+v.Name == claim {
			names = append(names, v.Name)
		}
	}
	return names
}

// OneNode tells that a claim's volume can be mounted on one node only.
func OneNode(claim *corev1.PersistentVolumeClaim) bool {
	once := func(m corev1.PersistentVolumeAccessMode) bool {
		return m == corev1.ReadWriteOnce || m == corev1.ReadWriteOncePod
	}
	return slices.ContainsFunc(claim.Spec.AccessModes, once) &&
		!slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteMany)
}

// OnePod tells that a claim can be used by one pod only.
func OnePod(claim *corev1.PersistentVolumeClaim) bool {
	return slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteOncePod)
}

// Others are the users that are no movers: those follow the volume, and do not lead it.
func Others(users []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(users), func(p corev1.Pod) bool { return moves(&p) })
}

// moves tells a mover of an export or of an import.
func moves(p *corev1.Pod) bool {
	return p.Labels[v1alpha1.LabelExportUID] != "" || p.Labels[v1alpha1.LabelImportUID] != ""
}

// NodeFor is where the volume is mounted, or will be; empty where the scheduler may choose.
func NodeFor(claim *corev1.PersistentVolumeClaim, users []corev1.Pod) string {
	if !OneNode(claim) {
		return ""
	}
	if p := leader(users); p != nil {
		return p.Spec.NodeName
	}
	return ""
}

// leader is the user that others are put beside: one with a node, that runs if any does, that is no
// mover if any is not, the oldest of them.
func leader(users []corev1.Pod) *corev1.Pod {
	var best *corev1.Pod
	for i := range users {
		p := &users[i]
		if p.Spec.NodeName != "" && (best == nil || before(p, best)) {
			best = p
		}
	}
	return best
}

func before(a, b *corev1.Pod) bool {
	rank := func(p *corev1.Pod) int {
		n := 0
		if moves(p) {
			n += 2
		}
		if p.Status.Phase != corev1.PodRunning {
			n++
		}
		return n
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name)) < 0
}

// MovedFrom tells that pods use the volume and none of them on the node of the mover, which then keeps
// the volume from them; or that the mover waits for a node where nobody uses the volume any more.
func MovedFrom(mover *corev1.Pod, claim *corev1.PersistentVolumeClaim, users []corev1.Pod) bool {
	node := cmp.Or(mover.Spec.NodeName, mover.Annotations[v1alpha1.AnnotationNode])
	if node == "" || !OneNode(claim) {
		return false
	}
	if mover.Spec.NodeName == "" && NodeFor(claim, users) == "" {
		return true
	}
	placed := slices.DeleteFunc(Others(users), func(p corev1.Pod) bool { return p.Spec.NodeName == "" })
	return len(placed) > 0 && !slices.ContainsFunc(placed, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
}

// Wanted tells that a pod waits for a claim that only one pod may use.
func Wanted(claim *corev1.PersistentVolumeClaim, users []corev1.Pod) bool {
	return OnePod(claim) && len(Others(users)) > 0
}
