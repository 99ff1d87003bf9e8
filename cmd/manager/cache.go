// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/populator/protocol"
	"github.com/s3populator/s3populator/transfer/final"
)

// cacheOptions keep the manager small in a large cluster: of pods only our own are
// watched; of other people's claims only what a name and a reference need is kept.
func cacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {
				Label:     labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}),
				Transform: slimPod,
			},
			&batchv1.Job{}: {
				Label:     labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}),
				Transform: slimJob,
			},
			&corev1.PersistentVolumeClaim{}: {Transform: slimClaim},
			&corev1.PersistentVolume{}:      {Transform: slimVolume},
			&storagev1.VolumeAttachment{}:   {Transform: slimAttachment},
		},
	}
}

// slimPod drops what a mover was told, up to hundreds of KiB, and how it is placed: its
// annotations have the hashes of both.
func slimPod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	pod.ManagedFields = nil
	pod.Spec.Volumes, pod.Spec.Affinity, pod.Spec.Tolerations = nil, nil, nil
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers { // How many there are is looked at.
			containers[i] = corev1.Container{Name: containers[i].Name}
		}
	}
	return pod, nil
}

// slimJob drops the pods that it makes: its own labels and annotations are theirs.
func slimJob(o any) (any, error) {
	if job, ok := o.(*batchv1.Job); ok {
		job.ManagedFields, job.Spec.Template = nil, corev1.PodTemplateSpec{}
	}
	return o, nil
}

// slimClaim empties claims that are neither ours nor primes, nor ask us for anything.
func slimClaim(o any) (any, error) {
	claim, ok := o.(*corev1.PersistentVolumeClaim)
	if !ok {
		return o, nil
	}
	claim.ManagedFields = nil
	if annotated.Ours(claim) || mentions(claim) || told(claim) ||
		claim.Labels[v1alpha1.LabelRole] == v1alpha1.RolePrime || final.Concerns(claim) ||
		claim.Labels[v1alpha1.LabelRole] == v1alpha1.RoleTemporary ||
		strings.HasPrefix(claim.Name, protocol.PrimePrefix) { // Also one that lost its labels.
		return claim, nil
	}
	slim := &corev1.PersistentVolumeClaim{}
	slim.Name, slim.Namespace, slim.UID, slim.ResourceVersion, slim.Labels = claim.Name, claim.Namespace, claim.UID,
		claim.ResourceVersion, claim.Labels
	slim.CreationTimestamp, slim.DeletionTimestamp = claim.CreationTimestamp, claim.DeletionTimestamp
	if mode := claim.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		slim.Spec.VolumeMode = mode // A policy selects claims with files only.
	}
	return slim, nil
}

// mentions tells whether a claim has annotations for us.
func mentions(claim *corev1.PersistentVolumeClaim) bool {
	return annotated.Mention(claim) != "" || annotated.ExportMentioned(claim) || annotated.ImportMentioned(claim)
}

// told tells whether a claim has a condition of ours.
func told(claim *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(
		claim.Status.Conditions,
		func(c corev1.PersistentVolumeClaimCondition) bool {
			return c.Type == v1alpha1.ConditionPopulated || c.Type == v1alpha1.ConditionExported
		},
	)
}

// slimVolume drops where a volume is: nothing here looks at that.
func slimVolume(o any) (any, error) {
	volume, ok := o.(*corev1.PersistentVolume)
	if !ok {
		return o, nil
	}
	volume.ManagedFields = nil
	volume.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{}
	volume.Spec.NodeAffinity = nil
	return volume, nil
}

// slimAttachment keeps which volume is attached to which node.
func slimAttachment(o any) (any, error) {
	a, ok := o.(*storagev1.VolumeAttachment)
	if !ok {
		return o, nil
	}
	slim := &storagev1.VolumeAttachment{}
	slim.Name, slim.UID, slim.ResourceVersion = a.Name, a.UID, a.ResourceVersion
	slim.CreationTimestamp, slim.DeletionTimestamp = a.CreationTimestamp, a.DeletionTimestamp
	slim.Spec.NodeName, slim.Spec.Source.PersistentVolumeName = a.Spec.NodeName, a.Spec.Source.PersistentVolumeName
	return slim, nil
}
