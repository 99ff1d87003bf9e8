// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Defaults are what an administrator decides for the movers of the whole installation.
type Defaults struct {
	// Mover is merged with spec.mover of a source; see merged.
	Mover v1alpha1.Mover
	// CAPEM are certificates in PEM that are trusted besides those of a source.
	CAPEM string
	// RunAs is user, group and fsGroup of the mover; 0 leaves them to the platform.
	RunAs int64
}

// merged is a source's own settings over those of the installation. Pull secrets add up. In
// env, nodeSelector, labels and annotations the source wins name by name. Everything else the
// source replaces whole.
func merged(own, defaults v1alpha1.Mover) v1alpha1.Mover {
	m := *own.DeepCopy()
	d := *defaults.DeepCopy()
	m.ImagePullSecrets = addMissing(
		m.ImagePullSecrets,
		d.ImagePullSecrets,
		func(s corev1.LocalObjectReference) string { return s.Name },
	)
	m.Env = addMissing(m.Env, d.Env, func(e corev1.EnvVar) string { return e.Name })
	m.NodeSelector = overlay(d.NodeSelector, m.NodeSelector)
	m.Labels = overlay(d.Labels, m.Labels)
	m.Annotations = overlay(d.Annotations, m.Annotations)
	if m.Resources == nil {
		m.Resources = d.Resources
	}
	if m.Tolerations == nil {
		m.Tolerations = d.Tolerations
	}
	if m.Affinity == nil {
		m.Affinity = d.Affinity
	}
	if m.PodSecurityContext == nil {
		m.PodSecurityContext = d.PodSecurityContext
	}
	if m.PriorityClassName == "" {
		m.PriorityClassName = d.PriorityClassName
	}
	if m.ServiceAccountName == "" {
		m.ServiceAccountName = d.ServiceAccountName
	}
	return m
}

// addMissing appends the defaults whose name is not there yet.
func addMissing[T any](own, defaults []T, name func(T) string) []T {
	for _, d := range defaults {
		if !slices.ContainsFunc(own, func(o T) bool { return name(o) == name(d) }) {
			own = append(own, d)
		}
	}
	return own
}

// overlay is nil for nothing, as a pod without a selector has it.
func overlay(defaults, own map[string]string) map[string]string {
	if len(defaults) == 0 {
		return own
	}
	out := maps.Clone(defaults)
	maps.Copy(out, own)
	return out
}
