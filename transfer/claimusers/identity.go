// SPDX-License-Identifier: Apache-2.0

package claimusers

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/internal/moverpod"
)

// Security is as whom a mover works on the volume of a claim:
//
//	own      users of the claim   the mover runs as
//	set      any                  that
//	-        none                 unused
//	-        one whose user is    that user and its groups
//	         known
//	-        none whose user is   nobody: false
//	         known
//
// It never has an fsGroup: the kubelet would change the group of every file.
func Security(
	own, unused *corev1.PodSecurityContext, users []corev1.Pod, claim string,
) (*corev1.PodSecurityContext, bool) {
	if own != nil {
		return withoutFSGroup(own), true
	}
	users = Others(users)
	if len(users) == 0 {
		return withoutFSGroup(unused), true
	}
	if p := leader(users); p != nil {
		if c, ok := contextOf(p, claim); ok {
			return c, true
		}
	}
	for i := range users {
		if c, ok := contextOf(&users[i], claim); ok {
			return c, true
		}
	}
	return nil, false
}

func withoutFSGroup(c *corev1.PodSecurityContext) *corev1.PodSecurityContext {
	c = c.DeepCopy()
	c.FSGroup, c.FSGroupChangePolicy = nil, nil
	return c
}

// Unused is the mover of the installation, for a volume that no pod uses.
func Unused(d moverpod.Defaults) *corev1.PodSecurityContext {
	if c := d.Mover.PodSecurityContext; c != nil {
		return withoutFSGroup(c)
	}
	c := &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: runtimeDefault()}
	if d.RunAs > 0 {
		c.RunAsUser, c.RunAsGroup = new(d.RunAs), new(d.RunAs)
	}
	return c
}

// contextOf copies as whom a pod uses a claim; false where neither its spec nor its status tells.
func contextOf(p *corev1.Pod, claim string) (*corev1.PodSecurityContext, bool) {
	volumes := volumesOf(p, claim)
	for _, container := range p.Spec.Containers {
		uses := func(name string) bool { return slices.Contains(volumes, name) }
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return uses(m.Name) }) {
			continue
		}
		if c, ok := userOf(p, container); ok {
			return c, true
		}
	}
	return nil, false
}

func userOf(p *corev1.Pod, container corev1.Container) (*corev1.PodSecurityContext, bool) {
	of, own := p.Spec.SecurityContext, container.SecurityContext
	if of == nil {
		of = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	c := &corev1.PodSecurityContext{
		RunAsUser:      cmp.Or(own.RunAsUser, of.RunAsUser),
		RunAsGroup:     cmp.Or(own.RunAsGroup, of.RunAsGroup),
		SELinuxOptions: cmp.Or(own.SELinuxOptions, of.SELinuxOptions).DeepCopy(),
		SeccompProfile: runtimeDefault(),
	}
	groups := slices.Clone(of.SupplementalGroups)
	for _, status := range p.Status.ContainerStatuses {
		if status.Name == container.Name && status.User != nil && status.User.Linux != nil {
			l := status.User.Linux
			c.RunAsUser, c.RunAsGroup = &l.UID, &l.GID
			groups = append(groups, l.SupplementalGroups...)
		}
	}
	if c.RunAsUser == nil {
		return nil, false
	}
	if of.FSGroup != nil {
		groups = append(groups, *of.FSGroup)
	}
	slices.Sort(groups)
	c.SupplementalGroups = slices.Compact(groups)
	c.RunAsNonRoot = new(*c.RunAsUser != 0)
	return c, true
}

func runtimeDefault() *corev1.SeccompProfile {
	return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
}
