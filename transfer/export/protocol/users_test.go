// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

func TestUsersAreThosePodsThatHaveNotEndedAndNameTheClaim(t *testing.T) {
	t.Parallel()
	ended := user("ended", "a")
	ended.Status.Phase = corev1.PodSucceeded
	own := user("own", "a")
	own.Labels = map[string]string{v1alpha1.LabelExportUID: "e-1"}
	sibling := user("sibling", "a")
	sibling.Labels = map[string]string{v1alpha1.LabelExportUID: "e-2"}
	elsewhere := user("elsewhere", "a")
	elsewhere.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "other"
	generic := user("x", "a")
	generic.Spec.Volumes[0] = corev1.Volume{
		Name: "v", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}},
	}
	pods := []corev1.Pod{user("app", "a"), ended, own, sibling, elsewhere, generic}
	names := func(claim string) (all []string) {
		for _, p := range Users(pods, claim, world().Export) {
			all = append(all, p.Name)
		}
		return all
	}
	if diff := cmp.Diff([]string{"app", "sibling"}, names("data")); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"x"}, names("x-v")); diff != "" {
		t.Errorf("users of a claim made for a pod (-want +got):\n%s", diff)
	}
}

func TestNodeFor(t *testing.T) {
	t.Parallel()
	starting := user("starting", "b")
	starting.Status.Phase, starting.CreationTimestamp = corev1.PodPending, ago(2*time.Hour)
	sibling := user("sibling", "c")
	sibling.Labels = map[string]string{v1alpha1.LabelExportUID: "e-2"}
	for name, test := range map[string]struct {
		in   State
		want string
	}{
		"where the volume is mounted":      {world(), "a"},
		"where nobody uses it":             {world(users()), ""},
		"where its user has no node":       {world(users(user("app", ""))), ""},
		"beside one that runs":             {world(users(starting, user("app", "a"))), "a"},
		"beside another export":            {world(users(sibling)), "c"},
		"beside a user rather":             {world(users(sibling, starting)), "b"},
		"a volume that is mounted by many": {world(access(corev1.ReadWriteMany)), ""},
		"a volume that nobody writes":      {world(access(corev1.ReadOnlyMany)), ""},
	} {
		if got := claimusers.NodeFor(test.in.Claim, test.in.Users); got != test.want {
			t.Errorf("%s: node %q, want %q", name, got, test.want)
		}
	}
}

// As whom a volume is read: the user of the pod that uses it, and never with an fsGroup.
func TestSecurityFor(t *testing.T) {
	t.Parallel()
	seen := func(p corev1.Pod) corev1.Pod {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64(2000)), SELinuxOptions: level("s0:c1,c2")}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", User: &corev1.ContainerUser{
			Linux: &corev1.LinuxContainerUser{UID: 5, GID: 6, SupplementalGroups: []int64{6, 8}},
		}}}
		return p
	}
	container := user("app", "a")
	container.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		RunAsUser: new(int64(9)), SELinuxOptions: level("s0:c9"),
	}
	root := user("app", "a")
	root.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(0))}
	blind := user("app", "a")
	blind.Spec.SecurityContext = nil
	unmounted := user("app", "a")
	unmounted.Spec.Containers[0].VolumeMounts = nil
	seccomp := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	for name, test := range map[string]struct {
		in   State
		want *corev1.PodSecurityContext
	}{
		"that of a pod's spec": {world(), &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(1000)), RunAsGroup: new(int64(3000)),
			SupplementalGroups: []int64{2000}, SeccompProfile: seccomp,
		}},
		"that of a container": {world(users(container)), &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(9)), RunAsGroup: new(int64(3000)),
			SupplementalGroups: []int64{2000}, SeccompProfile: seccomp, SELinuxOptions: level("s0:c9"),
		}},
		"that of a pod's status": {world(users(seen(blind))), &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(5)), RunAsGroup: new(int64(6)),
			SupplementalGroups: []int64{6, 8, 2000}, SeccompProfile: seccomp, SELinuxOptions: level("s0:c1,c2"),
		}},
		"root": {world(users(root)), &corev1.PodSecurityContext{
			RunAsNonRoot: new(false), RunAsUser: new(int64(0)), SeccompProfile: seccomp,
		}},
		"that of another user": {world(users(blind, user("b", "a"))), mustBe(t, world())},
		"that of nobody":       {world(users(blind)), nil},
		"that of no container": {world(users(unmounted)), nil},
		"the mover's own": {
			world(users()), &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(moverpod.NonRoot), RunAsGroup: new(moverpod.NonRoot),
				SeccompProfile: seccomp,
			},
		},
		"what the export wants": {world(runAs(7), users(blind)), &corev1.PodSecurityContext{RunAsUser: new(int64(7))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, known := securityFor(test.in, defaults)
			if known != (test.want != nil) {
				t.Fatalf("known: %v", known)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("security context (-want +got):\n%s", diff)
			}
		})
	}
	installed := defaults
	installed.Mover.PodSecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(3)), FSGroup: new(int64(4))}
	if c, _ := securityFor(world(users()), installed); c.FSGroup != nil || *c.RunAsUser != 3 {
		t.Errorf("the installation's mover runs as %+v", c)
	}
}

func mustBe(t *testing.T, s State) *corev1.PodSecurityContext {
	t.Helper()
	c, known := securityFor(s, defaults)
	if !known {
		t.Fatal("not known")
	}
	return c
}

func level(l string) *corev1.SELinuxOptions { return &corev1.SELinuxOptions{Level: l} }

// The pod reads and never writes, where its volume is, in the name of its export.
func TestMover(t *testing.T) {
	t.Parallel()
	s := world(func(s *State) {
		s.Export.Spec.Mover.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: "zone", Operator: corev1.NodeSelectorOpExists},
				}}, {}},
			},
		}}
	})
	pod, err := Mover(s, Options{Defaults: defaults})
	if err != nil {
		t.Fatal(err)
	}
	volume := pod.Spec.Volumes[1]
	if c := volume.PersistentVolumeClaim; c == nil || !c.ReadOnly || c.ClaimName != "data" {
		t.Errorf("the volume is %+v", volume)
	}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if m.Name == volume.Name && !m.ReadOnly {
			t.Errorf("it is mounted as %+v", m)
		}
	}
	if pod.Spec.NodeName != "" || pod.Spec.SecurityContext.FSGroup != nil || !metav1.IsControlledBy(pod, s.Export) {
		t.Errorf("the pod is %+v", pod)
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(term.MatchFields) != 1 || term.MatchFields[0].Key != "metadata.name" || term.MatchFields[0].Values[0] != "a" {
			t.Errorf("a term does not name the node: %+v", term)
		}
	}
	if own := s.Export.Spec.Mover.Affinity.NodeAffinity; own.RequiredDuringSchedulingIgnoredDuringExecution.
		NodeSelectorTerms[1].MatchFields != nil {
		t.Error("the export was changed")
	}
	ending, err := Abort(s, Options{Defaults: defaults})
	if err != nil || len(ending.OwnerReferences) > 0 || ending.Spec.Containers[0].Env != nil {
		t.Errorf("the pod that ends uploads is %+v (%v)", ending, err)
	}
}
