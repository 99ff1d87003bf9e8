// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/template"
)

func TestExportOf(t *testing.T) {
	aws := v1alpha1.S3Location{Region: "x", Bucket: "backups"}
	tests := map[string]struct {
		claim    *corev1.PersistentVolumeClaim
		want     Export
		wantErrs []string
	}{
		"nothing": {claim: claim(map[string]string{"url": "s3://datasets", "secret": "s3"})},
		"a bucket: what tells claims and runs apart is added": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x"}),
			want:  Export{Location: aws, Prefix: template.Default},
		},
		"a prefix: the same": {
			claim: claim(map[string]string{"export-to": "s3://backups/team", "export-region": "x"}),
			want:  Export{Location: aws, Prefix: "team/" + template.Default},
		},
		"a prefix with a slash": {
			claim: claim(map[string]string{"export-to": "s3://backups/team/", "export-region": "x"}),
			want:  Export{Location: aws, Prefix: "team/" + template.Default},
		},
		"a template": {
			claim: claim(map[string]string{"export-to": "s3://backups/{{.Claim}}/latest", "export-region": "x"}),
			want:  Export{Location: aws, Prefix: "{{.Claim}}/latest"},
		},
		"everything that can be said": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-endpoint": "https://minio:9000", "export-region": "x",
				"export-secret": "s3", "export-ca-configmap": "ca", "export-now": "2026-11-26 03:00", "export-schedule": "@daily",
			}),
			want: Export{
				Location: v1alpha1.S3Location{
					Endpoint: "https://minio:9000", Region: "x", Bucket: "backups",
					Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}},
					TLS:         &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: "ca"}}}},
				},
				Prefix: template.Default, Now: "2026-11-26 03:00", Schedule: "@daily",
			},
		},
		"a ServiceAccount": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-service-account": "w"}),
			want: Export{Location: v1alpha1.S3Location{
				Region: "x", Bucket: "backups", Credentials: &v1alpha1.Credentials{ServiceAccountName: "w"},
			}, Prefix: template.Default},
		},
		"what a chart left empty": {
			claim: claim(map[string]string{
				"export-to": "", "export-secret": "", "export-now": "", "export-schedule": "", "export-endpoint": "",
			}),
		},
		"the keys of the source are not those of the destination": {
			claim: claim(map[string]string{"export-to": "s3://backups", "endpoint": "http://minio", "secret": "s3"}),
			wantErrs: []string{
				"/export-region]: Required value: without s3populator.io/export-endpoint the server is AWS",
			},
		},
		"a bucket without a scheme": {
			claim:    claim(map[string]string{"export-to": "backups/x", "export-region": "x"}),
			wantErrs: []string{"/export-to]: Invalid value: \"backups/x\": must begin with s3://"},
		},
		"another value in the template": {
			claim:    claim(map[string]string{"export-to": "s3://backups/{{.Pod}}", "export-region": "x"}),
			wantErrs: []string{"/export-to]: Invalid value: \"s3://backups/{{.Pod}}\": {{.Pod}} is not known; use"},
		},
		"a prefix beyond all limits": {
			claim:    claim(map[string]string{"export-to": "s3://backups/" + strings.Repeat("x", 500), "export-region": "x"}),
			wantErrs: []string{"/export-to]: Too long"},
		},
		"a way up": {
			claim:    claim(map[string]string{"export-to": "s3://backups/../x", "export-region": "x"}),
			wantErrs: []string{"which programs resolve"},
		},
		"our own directory": {
			claim:    claim(map[string]string{"export-to": "s3://backups/.s3populator/", "export-region": "x"}),
			wantErrs: []string{"holds the manifests"},
		},
		"a prefix that all claims share": {
			claim:    claim(map[string]string{"export-to": "s3://backups/{{.Namespace}}/{{.Date}}", "export-region": "x"}),
			wantErrs: []string{"would overwrite each other's objects; add {{.Claim}}"},
		},
		"a Block volume": {
			claim:    block(claim(map[string]string{"export-to": "s3://backups", "export-region": "x"})),
			wantErrs: []string{"only the files of a Filesystem can be exported"},
		},
		"a schedule that is none": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-region": "x", "export-schedule": "nightly",
			}),
			wantErrs: []string{"/export-schedule]: Invalid value: \"nightly\": \"nightly\" is no schedule"},
		},
		"as another user": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-run-as": "1000:2000"}),
			want: Export{
				Location: v1alpha1.S3Location{Bucket: "backups", Region: "x"}, Prefix: "{{.Namespace}}/{{.Claim}}/{{.Run}}/",
				RunAs: &corev1.PodSecurityContext{
					RunAsUser: new(int64(1000)), RunAsGroup: new(int64(2000)), RunAsNonRoot: new(true),
					SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
			},
		},
		"of a snapshot": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-region": "x", "export-consistency": "Snapshot",
			}),
			want: Export{
				Location: v1alpha1.S3Location{Bucket: "backups", Region: "x"}, Prefix: "{{.Namespace}}/{{.Claim}}/{{.Run}}/",
				Consistency: v1alpha1.ConsistencySnapshot,
			},
		},
		"of a photograph": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-region": "x", "export-consistency": "Photograph",
			}),
			wantErrs: []string{
				`/export-consistency]: Unsupported value: "Photograph": supported values: "Live", "Snapshot", "Clone"`,
			},
		},
		"as a user by name": {
			claim:    claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-run-as": "postgres"}),
			wantErrs: []string{"/export-run-as]: Invalid value: \"postgres\": write the number of a user"},
		},
		"before it is deleted": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-on-delete": "true"}),
			want: Export{
				Location: v1alpha1.S3Location{Bucket: "backups", Region: "x"}, Prefix: "{{.Namespace}}/{{.Claim}}/{{.Run}}/",
			},
		},
		"before it is deleted, and the next claim of the name beside it": {
			claim: claim(map[string]string{
				"export-to": "s3://backups/{{.Claim}}", "export-region": "x", "export-on-delete": "true",
			}),
			wantErrs: []string{
				"/export-on-delete]: Forbidden: a later claim of the same name would overwrite what is left of this one; add " +
					"{{.Run}} to the prefix in s3populator.io/export-to",
			},
		},
		"before it is deleted, each claim in a place of its own": {
			claim: claim(map[string]string{
				"export-to": "s3://backups/{{.Run}}", "export-region": "x", "export-on-delete": "true",
			}),
			want: Export{Location: aws, Prefix: "{{.Run}}"},
		},
		"not before it is deleted": {
			claim: claim(map[string]string{
				"export-to": "s3://backups/{{.Claim}}", "export-region": "x", "export-on-delete": "false",
			}),
			want: Export{Location: aws, Prefix: "{{.Claim}}"},
		},
		"without names that are no keys": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-unsafe-paths": "Skip"}),
			want:  Export{Location: aws, Prefix: template.Default, UnsafePaths: v1alpha1.UnsafePathsSkip},
		},
		"with another choice about names": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-unsafe-paths": "skip"}),
			wantErrs: []string{
				"/export-unsafe-paths]: Unsupported value: \"skip\": supported values: \"Fail\", \"Skip\"",
			},
		},
		"neither before it is deleted nor not": {
			claim: claim(map[string]string{"export-to": "s3://backups", "export-region": "x", "export-on-delete": "yes"}),
			wantErrs: []string{
				"/export-on-delete]: Unsupported value: \"yes\": supported values: \"true\", \"false\"",
			},
		},
		"a token beyond all limits": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-region": "x", "export-now": strings.Repeat("x", 254),
			}),
			wantErrs: []string{"/export-now]: Invalid value: \"\": write a short token"},
		},
		"two identities": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-region": "x", "export-secret": "a", "export-service-account": "b",
			}),
			wantErrs: []string{"/export-service-account]: Invalid value: \"b\": excludes s3populator.io/export-secret"},
		},
		"credentials in the endpoint": {
			claim:    claim(map[string]string{"export-to": "s3://backups", "export-endpoint": "https://key:geheim@minio"}),
			wantErrs: []string{"(hidden)@minio"},
		},
		"companions alone": {
			claim: claim(map[string]string{"export-now": "1", "export-secret": "s3"}),
			wantErrs: []string{
				"/export-secret]: Forbidden: says more about s3populator.io/export-to, which is not set",
				"/export-now]: Forbidden: says more about s3populator.io/export-to, which is not set",
			},
		},
		"a misspelt name, and one that is not there yet": {
			claim: claim(map[string]string{
				"export-to": "s3://backups", "export-region": "x", "export-compression": "true", "export-scedule": "@daily",
			}),
			wantErrs: []string{
				`Unsupported value: "s3populator.io/export-compression"`, `Unsupported value: "s3populator.io/export-scedule"`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := ExportOf(tt.claim)
			if len(errs) != len(tt.wantErrs) {
				t.Fatalf("errors %v, want %d", errs, len(tt.wantErrs))
			}
			for i, want := range tt.wantErrs {
				if !strings.Contains(errs[i].Error(), want) || strings.Contains(errs[i].Error(), "geheim") {
					t.Errorf("error %q, want one with %q and no secret", errs[i], want)
				}
			}
			if diff := cmp.Diff(tt.want, got); len(errs) == 0 && diff != "" {
				t.Errorf("export (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFewErrorsForManyNames(t *testing.T) {
	many := map[string]string{}
	for i := range 10_000 {
		many[fmt.Sprintf("export-x%d", i)] = ""
	}
	if _, errs := ExportOf(claim(many)); len(errs) != mostNames {
		t.Errorf("%d errors, want %d", len(errs), mostNames)
	}
}
