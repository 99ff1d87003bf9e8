// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// The examples of exports are followed: a directory of a claim goes to S3, and comes back.
func TestExportSample(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO)
	claim := s.Claim(story.Claim{Name: "results"})
	s.Output("keep", claim.Name, "write", story.MountPath+"/models/beta/sub/weights.bin", "70000")
	s.Output("leave", claim.Name, "write", story.MountPath+"/models/beta/x.tmp", "5")
	apply(s, story.Site{Bucket: bucket}, []string{"export.yaml"})
	run := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "results-1"}}
	e := s.Exported(run)
	if got := bucket.Holds(e.Status.Prefix); len(got) != 1 || got["sub/weights.bin"] != 70000 {
		t.Errorf("the bucket holds %v", got)
	}
	if !strings.HasPrefix(e.Status.Prefix, s.Namespace+"/results/") {
		t.Errorf("the prefix is %q", e.Status.Prefix)
	}
	apply(s, story.Site{Bucket: bucket, Prefix: e.Status.Prefix}, []string{"restore.yaml"})
	s.Bound("results-restored")
	if got := s.Output("look", "results-restored", "ls", story.MountPath); !strings.Contains(got, "weights.bin") {
		t.Errorf("the restored volume holds %q", got)
	}
}

// badRuns are exports that cannot be, with the reason that each tells.
var badRuns = map[string]struct {
	change func(*v1alpha1.S3Export)
	phase  v1alpha1.ExportPhase
	reason string
	says   string
}{
	"absent-claim": {
		func(e *v1alpha1.S3Export) { e.Spec.ClaimName = "absent" },
		v1alpha1.ExportPending, "ClaimNotFound", "no claim absent",
	},
	"pending-claim": {
		func(e *v1alpha1.S3Export) { e.Spec.ClaimName = "late" },
		v1alpha1.ExportPending, "ClaimNotBound", "late is Pending",
	},
	"device": {
		func(e *v1alpha1.S3Export) { e.Spec.ClaimName = "device" },
		v1alpha1.ExportFailed, "UnsupportedClaim", "volumeMode Block",
	},
	"absent-path": {
		func(e *v1alpha1.S3Export) { e.Spec.Path = "no/such" },
		v1alpha1.ExportFailed, "PathNotFound", "no/such",
	},
	"directory-to-key": {func(e *v1alpha1.S3Export) {
		e.Spec.Path, e.Spec.Destination.Key = "odd", "k"
	}, v1alpha1.ExportFailed, "PathNotFile", "one key"},
	"absent-bucket": {
		func(e *v1alpha1.S3Export) { e.Spec.Destination.Bucket = "no-such-bucket" },
		v1alpha1.ExportFailed, "NoSuchBucket", "no-such-bucket",
	},
	"absent-secret": {
		func(e *v1alpha1.S3Export) { e.Spec.Destination.Credentials.SecretRef.Name = "absent" },
		v1alpha1.ExportFailed, "CredentialsMissing", "absent",
	},
	"other-user": {func(e *v1alpha1.S3Export) {
		e.Spec.Mover.PodSecurityContext = strict(4711)
	}, v1alpha1.ExportFailed, "PathNotReadable", "user 4711"},
	"root": {func(e *v1alpha1.S3Export) {
		c := strict(0)
		c.RunAsNonRoot = new(false)
		e.Spec.Mover.PodSecurityContext = c
	}, v1alpha1.ExportPending, "MoverRefused", "PodSecurity"},
	"long-prefix": {func(e *v1alpha1.S3Export) {
		e.Spec.Destination.Prefix = strings.Repeat("p", 500) + "{{.Run}}"
	}, v1alpha1.ExportFailed, "InvalidPrefix", "spec.destination.prefix"},
}

func strict(uid int64) *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: &uid, RunAsGroup: &uid,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// Each mistake has its own reason; nothing is written for it, and nothing is left of it.
func TestExportBadInput(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW)
	claim := s.Claim(story.Claim{Size: "64Mi"})
	s.Claim(story.Claim{Name: "late", Class: story.LateDelete})
	s.Claim(story.Claim{Name: "device", Block: true})
	s.Output("fill", claim.Name, "odd", story.MountPath)
	s.MayWarn = append(s.MayWarn, "ClaimReplaced") // Of those that still wait, when the story's claims go.
	for name, bad := range badRuns {
		s.MayWarn = append(s.MayWarn, bad.reason, "UploadsLeft", "ExportFailed") // The last is on the claim.
		s.Export(name, claim.Name, bucket, bad.change, func(e *v1alpha1.S3Export) { e.Spec.Retries.Limit = new(int32(0)) })
	}
	for name, bad := range badRuns {
		e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}}
		s.ExportTells(e, bad.phase, bad.reason, bad.says)
	}
	if held := bucket.Holds(""); len(held) > 0 {
		t.Errorf("the bucket holds %v", held)
	}
	s.Await("the failed exports to be free", func() error { return s.Unguarded() })
}
