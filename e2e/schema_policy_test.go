// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// badPolicies break one rule each; the API server's answer must contain what follows.
var badPolicies = map[string]struct {
	change func(*v1alpha1.S3ExportPolicySpec)
	want   string
}{
	"all claims to one object": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.Template.Path, s.Template.Destination.Key = "a", "a" },
		"template.destination.key: all claims would be exported to one object",
	},
	"all claims to one place": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.Template.Destination.Prefix = "shared/" },
		"template.destination.prefix: all claims would be exported to one place",
	},
	"two runs at once to one place": {
		func(s *v1alpha1.S3ExportPolicySpec) {
			s.ConcurrencyPolicy, s.Template.Destination.Prefix = "Allow", "{{.Claim}}/"
		},
		"concurrencyPolicy: with Allow two runs may write at once",
	},
	"a schedule with a time zone": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule = "TZ=UTC 0 3 * * *" },
		"schedule: names a time zone",
	},
	"neither a schedule nor deletions": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule = "" },
		"schedule: nothing would ever be exported",
	},
	"the place of the next claim of the name": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.OnDelete, s.Template.Destination.Prefix = true, "{{.Claim}}/" },
		"template.destination.prefix: with onDelete",
	},
	"objects of runs that share a place are removed": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.PruneData, s.Template.Destination.Prefix = true, "{{.Claim}}/" },
		"template.destination.prefix: with pruneData",
	},
	"exports that go by themselves before their objects": {
		func(s *v1alpha1.S3ExportPolicySpec) {
			s.PruneData, s.Template.TTLSecondsAfterFinished = true, new(int32(60))
		},
		"template.ttlSecondsAfterFinished: with pruneData",
	},
	"a part of what is deleted": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.OnDelete, s.Template.Exclude = true, []string{"*.tmp"} },
		"onDelete: all of a claim is exported before it goes",
	},
	"a deadline that no run keeps": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.StartingDeadlineSeconds = new(int64(0)) },
		"spec.startingDeadlineSeconds in body should be greater than or equal to 10",
	},
	"a schedule of four fields": {
		func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule = "0 3 * *" },
		"schedule: five fields",
	},
}

// policySchema is what the API server says to policies that cannot work.
func policySchema(t *testing.T, s *story.Story) (said []string) {
	t.Helper()
	good := v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "policy", Namespace: s.Namespace}}
	good.Spec.Schedule = "0 3 * * *"
	good.Spec.Template.Destination.S3Location = v1alpha1.S3Location{Endpoint: "https://s3.test:9000", Bucket: "backups"}
	if err := world.Client.Create(t.Context(), good.DeepCopy(), client.DryRunAll); err != nil {
		t.Errorf("a good policy is refused: %v", err)
	}
	deletions := good.DeepCopy()
	deletions.Spec.Schedule, deletions.Spec.OnDelete = "", true
	if err := world.Client.Create(t.Context(), deletions, client.DryRunAll); err != nil {
		t.Errorf("a policy about deletions alone is refused: %v", err)
	}
	for name, test := range badPolicies {
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
	return said
}
