// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// badExports break one rule each; the API server's answer must contain what follows.
var badExports = map[string]struct {
	change func(*v1alpha1.S3ExportSpec)
	want   string
}{
	"no claim": {func(s *v1alpha1.S3ExportSpec) { s.ClaimName = "" }, "spec.claimName"},
	"a path out of the volume": {
		func(s *v1alpha1.S3ExportSpec) { s.Path = "../x" },
		"path: a relative path without",
	},
	"a directory to one key": {
		func(s *v1alpha1.S3ExportSpec) { s.Path, s.Destination.Prefix, s.Destination.Key = "", "", "a" },
		"destination.key: takes one file",
	},
	"a prefix and a key": {
		func(s *v1alpha1.S3ExportSpec) { s.Path, s.Destination.Key = "a", "a" },
		"destination: set prefix for a directory or key for one file",
	},
	"a key that is a directory": {func(s *v1alpha1.S3ExportSpec) {
		s.Path, s.Destination.Prefix, s.Destination.Key = "a", "", "a/"
	}, "key: a file without"},
	"a key among ours": {func(s *v1alpha1.S3ExportSpec) {
		s.Path, s.Destination.Prefix, s.Destination.Key = "a", "", "x/.s3populator/a"
	}, "key: .s3populator is where exports keep their manifests"},
	"one file and what is there besides": {func(s *v1alpha1.S3ExportSpec) {
		s.Path, s.Destination.Prefix, s.Destination.Key, s.DeleteExtra = "a", "", "a", true
	}, "deleteExtra: only below destination.prefix"},
	"an unknown placeholder": {
		func(s *v1alpha1.S3ExportSpec) { s.Destination.Prefix = "{{.Pod}}/" },
		"prefix: only {{.Namespace}}, {{.Claim}}, {{.Run}} and {{.Date}} are replaced",
	},
	"a prefix from the root": {
		func(s *v1alpha1.S3ExportSpec) { s.Destination.Prefix = "/a" },
		"prefix: a directory without",
	},
	"a prefix with a way up": {
		func(s *v1alpha1.S3ExportSpec) { s.Destination.Prefix = "a/../b" },
		"prefix: a directory without",
	},
	"a prefix among ours": {
		func(s *v1alpha1.S3ExportSpec) { s.Destination.Prefix = "a/.s3populator/" },
		"prefix: .s3populator is where exports keep their manifests",
	},
	"a storage class in words": {
		func(s *v1alpha1.S3ExportSpec) { s.StorageClass = "the cheap one" },
		"storageClass: letters, digits",
	},
	"a key for S3's own encryption": {func(s *v1alpha1.S3ExportSpec) {
		s.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Type: "AES256", KMSKeyID: "k"}
	}, "serverSideEncryption.kmsKeyID: only with type KMS"},
	"an unknown encryption": {func(s *v1alpha1.S3ExportSpec) {
		s.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Type: "C"}
	}, "spec.serverSideEncryption.type"},
	"a tag without a name": {
		func(s *v1alpha1.S3ExportSpec) { s.Tags = map[string]string{"": "x"} },
		"tags: names have 1 to 128 characters",
	},
	"an unknown consistency": {
		func(s *v1alpha1.S3ExportSpec) { s.Consistency = "Photograph" },
		`spec.consistency: Unsupported value: "Photograph"`,
	},
	"a class of no snapshot": {
		func(s *v1alpha1.S3ExportSpec) { s.Consistency, s.VolumeSnapshotClassName = "Clone", "snaps" },
		"volumeSnapshotClassName: only with consistency Snapshot",
	},
	"a class of nothing temporary": {
		func(s *v1alpha1.S3ExportSpec) { s.StorageClassName = "fast" },
		"storageClassName: of the temporary claim of consistency Snapshot or Clone",
	},
	"the storage class of objects for a claim": {
		func(s *v1alpha1.S3ExportSpec) { s.Consistency, s.StorageClassName = "Clone", "STANDARD_IA" },
		"the storage class of objects, such as STANDARD_IA, is storageClass",
	},
	"no name of a snapshot class": {
		func(s *v1alpha1.S3ExportSpec) { s.Consistency, s.VolumeSnapshotClassName = "Snapshot", "a/b" },
		"volumeSnapshotClassName: the name of a VolumeSnapshotClass",
	},
	"an unknown policy": {
		func(s *v1alpha1.S3ExportSpec) { s.OnExisting = "Ask" },
		`spec.onExisting: Unsupported value: "Ask"`,
	},
	"an fsGroup": {func(s *v1alpha1.S3ExportSpec) {
		s.Mover.PodSecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64(1))}
	}, "mover.podSecurityContext.fsGroup: remove it"},
	"a pod of two accounts": {func(s *v1alpha1.S3ExportSpec) {
		s.Destination.Credentials = &v1alpha1.Credentials{ServiceAccountName: "a"}
		s.Mover.ServiceAccountName = "b"
	}, "mover.serviceAccountName: remove it; the pod runs as destination.credentials.serviceAccountName"},
	"next to no bandwidth": {
		func(s *v1alpha1.S3ExportSpec) { s.Transfer.Bandwidth = "1Ki" },
		"bandwidth: bytes per second as a quantity of at least 64Ki",
	},
	"too many pods": {func(s *v1alpha1.S3ExportSpec) { s.Parallelism = 65 }, "spec.parallelism"},
	"no bucket":     {func(s *v1alpha1.S3ExportSpec) { s.Destination.Bucket = "" }, "bucket: required"},
	"an age before the end": {
		func(s *v1alpha1.S3ExportSpec) { s.TTLSecondsAfterFinished = new(int32(-1)) },
		"spec.ttlSecondsAfterFinished",
	},
}

// changedExports are changes that a run does not take.
var changedExports = map[string]func(*v1alpha1.S3ExportSpec){
	"claimName":    func(s *v1alpha1.S3ExportSpec) { s.ClaimName = "another" },
	"parallelism":  func(s *v1alpha1.S3ExportSpec) { s.Parallelism = 2 },
	"path":         func(s *v1alpha1.S3ExportSpec) { s.Path = "" },
	"include":      func(s *v1alpha1.S3ExportSpec) { s.Include = []string{"b"} },
	"exclude":      func(s *v1alpha1.S3ExportSpec) { s.Exclude = []string{"b"} },
	"destination":  func(s *v1alpha1.S3ExportSpec) { s.Destination.Bucket = "another" },
	"storageClass": func(s *v1alpha1.S3ExportSpec) { s.StorageClass = "STANDARD" },
	"serverSideEncryption": func(s *v1alpha1.S3ExportSpec) {
		s.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Type: "AES256"}
	},
	"tags":        func(s *v1alpha1.S3ExportSpec) { s.Tags = nil },
	"deleteExtra": func(s *v1alpha1.S3ExportSpec) { s.DeleteExtra = true },
	"dryRun":      func(s *v1alpha1.S3ExportSpec) { s.DryRun = true },
	"unsafePaths": func(s *v1alpha1.S3ExportSpec) { s.UnsafePaths = "Skip" },
	"onExisting":  func(s *v1alpha1.S3ExportSpec) { s.OnExisting = "Fail" },
	"consistency": func(s *v1alpha1.S3ExportSpec) { s.Consistency = v1alpha1.ConsistencyClone },
	"volumeSnapshotClassName": func(s *v1alpha1.S3ExportSpec) {
		s.Consistency, s.VolumeSnapshotClassName = v1alpha1.ConsistencySnapshot, "snaps"
	},
	"storageClassName": func(s *v1alpha1.S3ExportSpec) {
		s.Consistency, s.StorageClassName = v1alpha1.ConsistencySnapshot, "fast"
	},
}

// An export that cannot work is refused when it is written, and one that was written is not
// changed but for what steers it.
func exportSchema(t *testing.T, s *story.Story) (said []string) {
	t.Helper()
	good := v1alpha1.S3Export{
		ObjectMeta: metav1.ObjectMeta{Name: "run", Namespace: s.Namespace},
		Spec: v1alpha1.S3ExportSpec{
			ClaimName: "absent", Suspend: true,
			S3ExportTemplate: v1alpha1.S3ExportTemplate{
				Path: "models", Include: []string{"a"}, Tags: map[string]string{"team": "a"},
				Destination: v1alpha1.ExportDestination{
					S3Location: v1alpha1.S3Location{Endpoint: "https://s3.test:9000", Bucket: "backups"},
					Prefix:     "{{.Namespace}}/{{.Claim}}/{{.Date}}-{{.Run}}/",
				},
			},
		},
	}
	for name, test := range badExports {
		bad := good.DeepCopy()
		test.change(&bad.Spec)
		err := world.Client.Create(t.Context(), bad, client.DryRunAll)
		switch {
		case err == nil:
			t.Errorf("%s is accepted", name)
		case !strings.Contains(err.Error(), test.want):
			t.Errorf("%s is refused without %q: %v", name, test.want, err)
		default:
			said = append(said, err.Error())
		}
	}
	run := good.DeepCopy()
	s.Create(run)
	defer s.Delete(run)
	for field, change := range changedExports {
		changed := run.DeepCopy()
		change(&changed.Spec)
		if err := world.Client.Patch(t.Context(), changed, client.MergeFrom(run), client.DryRunAll); err == nil {
			t.Errorf("an export with another %s is accepted", field)
		} else {
			said = append(said, err.Error())
		}
	}
	steered := run.DeepCopy()
	steered.Spec.Retries.Limit, steered.Spec.Transfer.Parallelism = new(int32(1)), 3
	steered.Spec.TTLSecondsAfterFinished, steered.Spec.Mover.PriorityClassName = new(int32(5)), "low"
	steered.Spec.Suspend = false
	if err := world.Client.Patch(t.Context(), steered, client.MergeFrom(run), client.DryRunAll); err != nil {
		t.Errorf("what steers a run cannot be changed: %v", err)
	}
	return said
}
