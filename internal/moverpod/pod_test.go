// SPDX-License-Identifier: Apache-2.0

package moverpod_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

func build(t *testing.T, spec v1alpha1.S3SourceSpec, d moverpod.Defaults) *corev1.Pod {
	t.Helper()
	request, err := moverpod.Request(wire.Inventory, spec)
	if err != nil {
		t.Fatal(err)
	}
	pod, err := moverpod.New(
		moverpod.Spec{Name: "mover", Location: spec.S3Location, Mover: spec.Mover, Defaults: d, Request: request},
	)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// A token for AWS is never shown to anybody else.
func TestAudience(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ endpoint, audience, want string }{
		"AWS by its region":           {"", "", "sts.amazonaws.com"},
		"AWS by its endpoint":         {"https://s3.eu-west-1.amazonaws.com", "", "sts.amazonaws.com"},
		"AWS in China":                {"https://s3.cn-north-1.amazonaws.com.cn/", "", "sts.amazonaws.com"},
		"AWS in the clear is anybody": {"http://s3.eu-west-1.amazonaws.com", "", "http://s3.eu-west-1.amazonaws.com"},
		"a host that only looks like AWS": {
			"https://s3.amazonaws.com.example.org",
			"",
			"https://s3.amazonaws.com.example.org",
		},
		"a host that only ends like AWS":      {"https://notamazonaws.com", "", "https://notamazonaws.com"},
		"another server":                      {"https://MinIO.data.svc:9000/", "", "https://minio.data.svc:9000"},
		"what the source says":                {"https://minio:9000", "minio", "minio"},
		"what the source says, even with AWS": {"", "mine", "mine"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := build(t, v1alpha1.S3SourceSpec{S3Location: v1alpha1.S3Location{
				Endpoint: test.endpoint, Bucket: "b", Credentials: &v1alpha1.Credentials{
					ServiceAccountName: "reader",
					Audience:           test.audience,
				},
			}}, moverpod.Defaults{})
			var got []string
			for _, v := range pod.Spec.Volumes {
				if v.Projected != nil {
					for _, s := range v.Projected.Sources {
						got = append(got, s.ServiceAccountToken.Audience)
					}
				}
			}
			if diff := cmp.Diff([]string{test.want}, got); diff != "" {
				t.Errorf("audiences of tokens (-want +got):\n%s", diff)
			}
		})
	}
}

// What an administrator decides for all movers is there, and a source's own settings win.
func TestDefaults(t *testing.T) {
	t.Parallel()
	own := v1alpha1.Mover{
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "own"}, {Name: "both"}},
		Env:              []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "own"}},
		NodeSelector:     map[string]string{"disk": "own"},
		Tolerations:      []corev1.Toleration{{Key: "own"}},
	}
	defaults := moverpod.Defaults{CAPEM: "PEM", RunAs: 7, Mover: v1alpha1.Mover{
		ImagePullSecrets:  []corev1.LocalObjectReference{{Name: "both"}, {Name: "default"}},
		Env:               []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "default"}, {Name: "NO_PROXY", Value: "default"}},
		NodeSelector:      map[string]string{"disk": "default", "zone": "default"},
		Tolerations:       []corev1.Toleration{{Key: "default"}},
		PriorityClassName: "default",
	}}
	pod := build(t, v1alpha1.S3SourceSpec{S3Location: v1alpha1.S3Location{Bucket: "b"}, Mover: own}, defaults)
	got := v1alpha1.Mover{
		ImagePullSecrets: pod.Spec.ImagePullSecrets, Env: pod.Spec.Containers[0].Env, NodeSelector: pod.Spec.NodeSelector,
		Tolerations: pod.Spec.Tolerations, PriorityClassName: pod.Spec.PriorityClassName,
	}
	want := v1alpha1.Mover{
		ImagePullSecrets:  []corev1.LocalObjectReference{{Name: "own"}, {Name: "both"}, {Name: "default"}},
		Env:               []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "own"}, {Name: "NO_PROXY", Value: "default"}},
		NodeSelector:      map[string]string{"disk": "own", "zone": "default"},
		Tolerations:       []corev1.Toleration{{Key: "own"}},
		PriorityClassName: "default",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if own.NodeSelector["zone"] != "" || len(defaults.Mover.Env) != 2 || defaults.Mover.NodeSelector["disk"] != "default" {
		t.Error("merging changed what was merged")
	}
}

// Outside of OpenShift the mover has a user and a group that volumes are made writable for;
// there the platform assigns them, and what it does not know is refused. The owners that a
// source wants are the mover's own.
func TestPodSecurity(t *testing.T) {
	t.Parallel()
	owned := &v1alpha1.Files{UID: new(int64(1000)), GID: new(int64(2000))}
	root := &v1alpha1.Files{UID: new(int64(0))}
	own := &corev1.PodSecurityContext{RunAsUser: new(int64(1))}
	tests := map[string]struct {
		runAs                int64
		files                *v1alpha1.Files
		own                  *corev1.PodSecurityContext
		user, group, fsGroup *int64
		mode                 int32
	}{
		"a user of ours": {
			runAs:   65532,
			user:    new(int64(65532)),
			group:   new(int64(65532)),
			fsGroup: new(int64(65532)),
			mode:    0o440,
		},
		"the platform's": {mode: 0o444},
		"owners, with a user of ours": {
			runAs:   65532,
			files:   owned,
			user:    new(int64(1000)),
			group:   new(int64(2000)),
			fsGroup: new(int64(2000)),
			mode:    0o440,
		},
		"owners, on a platform": {
			files:   owned,
			user:    new(int64(1000)),
			group:   new(int64(2000)),
			fsGroup: new(int64(2000)),
			mode:    0o440,
		},
		"root owns, nobody runs as it": {
			runAs:   65532,
			files:   root,
			user:    new(int64(65532)),
			group:   new(int64(65532)),
			fsGroup: new(int64(65532)),
			mode:    0o440,
		},
		"a context of the source's own": {runAs: 65532, files: owned, own: own, user: new(int64(1)), mode: 0o444},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := build(t, v1alpha1.S3SourceSpec{
				S3Location: v1alpha1.S3Location{
					Bucket:      "b",
					Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}},
				},
				Files: test.files, Mover: v1alpha1.Mover{PodSecurityContext: test.own},
			}, moverpod.Defaults{RunAs: test.runAs})
			c := pod.Spec.SecurityContext
			if diff := cmp.Diff([]*int64{test.user, test.group, test.fsGroup},
				[]*int64{c.RunAsUser, c.RunAsGroup, c.FSGroup}); diff != "" {
				t.Errorf("user, group and fsGroup (-want +got):\n%s", diff)
			}
			for _, v := range pod.Spec.Volumes {
				if v.Secret != nil && *v.Secret.DefaultMode != test.mode {
					t.Errorf("the Secret has mode %o, want %o: only an fsGroup could read less", *v.Secret.DefaultMode, test.mode)
				}
			}
		})
	}
}

// The pod's ServiceAccount is the one that S3 is shown, else the one that was asked for.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	secret := &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}}
	identity := &v1alpha1.Credentials{ServiceAccountName: "reader"}
	for want, spec := range map[string]v1alpha1.S3SourceSpec{
		"":       {S3Location: v1alpha1.S3Location{Credentials: secret}},
		"puller": {S3Location: v1alpha1.S3Location{Credentials: secret}, Mover: v1alpha1.Mover{ServiceAccountName: "puller"}},
		"reader": {S3Location: v1alpha1.S3Location{Credentials: identity}},
	} {
		if got := build(t, spec, moverpod.Defaults{}).Spec.ServiceAccountName; got != want {
			t.Errorf("the pod runs as ServiceAccount %q, want %q", got, want)
		}
	}
}
