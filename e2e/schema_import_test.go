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

// badImports break one rule each; the API server's answer must contain what follows.
var badImports = map[string]struct {
	change func(*v1alpha1.S3ImportSpec)
	want   string
}{
	"no claim":  {func(s *v1alpha1.S3ImportSpec) { s.ClaimName = "" }, "spec.claimName"},
	"no source": {func(s *v1alpha1.S3ImportSpec) { s.SourceName = "" }, "spec.sourceName"},
	"a prefix and objects": {
		func(s *v1alpha1.S3ImportSpec) { s.Objects = object("a", "") }, "prefix: remove it or remove objects",
	},
	"a prefix from the root": {
		func(s *v1alpha1.S3ImportSpec) { s.Prefix = "/a" }, "prefix: a directory without",
	},
	"a prefix among ours": {
		func(s *v1alpha1.S3ImportSpec) { s.Prefix = "a/.s3populator/" }, "prefix: .s3populator is where exports",
	},
	"a path out of the volume": {
		func(s *v1alpha1.S3ImportSpec) { s.TargetPath = "../x" }, "targetPath: a relative path without",
	},
	"a path among ours": {
		func(s *v1alpha1.S3ImportSpec) { s.TargetPath = ".s3populator" }, "targetPath: .s3populator is where movers",
	},
	"extras beside single files": {func(s *v1alpha1.S3ImportSpec) {
		s.Prefix, s.Objects, s.DeleteExtra = "", object("a", ""), true
	}, "deleteExtra: remove it or remove objects"},
	"an fsGroup": {func(s *v1alpha1.S3ImportSpec) {
		s.Mover = &v1alpha1.ImportMover{PodSecurityContext: &corev1.PodSecurityContext{FSGroup: new(int64(1))}}
	}, "mover.podSecurityContext.fsGroup: remove it"},
	"an age before the end": {
		func(s *v1alpha1.S3ImportSpec) { s.TTLSecondsAfterFinished = new(int32(-1)) }, "spec.ttlSecondsAfterFinished",
	},
	"fewer attempts than none": {
		func(s *v1alpha1.S3ImportSpec) { s.Retries = &v1alpha1.Retries{Limit: new(int32(-1))} }, "spec.retries.limit",
	},
}

// changedImports are changes that a run does not take.
var changedImports = map[string]func(*v1alpha1.S3ImportSpec){
	"claimName":   func(s *v1alpha1.S3ImportSpec) { s.ClaimName = "another" },
	"sourceName":  func(s *v1alpha1.S3ImportSpec) { s.SourceName = "another" },
	"prefix":      func(s *v1alpha1.S3ImportSpec) { s.Prefix = "" },
	"objects":     func(s *v1alpha1.S3ImportSpec) { s.Prefix, s.Objects = "", object("a", "") },
	"targetPath":  func(s *v1alpha1.S3ImportSpec) { s.TargetPath = "elsewhere" },
	"deleteExtra": func(s *v1alpha1.S3ImportSpec) { s.DeleteExtra = true },
}

// An import that cannot work is refused when it is written, and one that was written is not changed but for what
// steers it.
func importSchema(t *testing.T, s *story.Story) (said []string) {
	t.Helper()
	good := v1alpha1.S3Import{
		ObjectMeta: metav1.ObjectMeta{Name: "run", Namespace: s.Namespace},
		Spec: v1alpha1.S3ImportSpec{
			ClaimName: "absent", SourceName: "absent", Suspend: true, Prefix: "models/", TargetPath: "models/new/",
		},
	}
	for name, test := range badImports {
		bad := good.DeepCopy()
		test.change(&bad.Spec)
		err := world.Client.Create(t.Context(), bad, client.DryRunAll)
		if err == nil {
			t.Errorf("an import with %s is accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("an import with %s is refused without %q: %v", name, test.want, err)
		}
		said = append(said, err.Error())
	}
	run := good.DeepCopy()
	s.Create(run)
	defer s.Delete(run)
	for field, change := range changedImports {
		changed := run.DeepCopy()
		change(&changed.Spec)
		err := world.Client.Patch(t.Context(), changed, client.MergeFrom(run), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), field+": an import is one run and cannot be changed") {
			t.Errorf("another %s: %v", field, err)
			continue
		}
		said = append(said, err.Error())
	}
	steered := run.DeepCopy()
	steered.Spec.TTLSecondsAfterFinished, steered.Spec.Retries = new(int32(60)), &v1alpha1.Retries{}
	if err := world.Client.Patch(t.Context(), steered, client.MergeFrom(run), client.DryRunAll); err != nil {
		t.Errorf("what steers an import cannot be changed: %v", err)
	}
	return said
}
