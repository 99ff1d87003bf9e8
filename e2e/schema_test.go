// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// badSources break one rule each; the API server's answer must contain what follows.
var badSources = map[string]struct {
	change func(*v1alpha1.S3SourceSpec)
	want   string
}{
	"an export and a prefix": {
		func(s *v1alpha1.S3SourceSpec) { s.Prefix, s.FromExport = "x/", &v1alpha1.FromExport{Claim: "data"} },
		"fromExport: the export says which prefix is read",
	},
	"an export by name and by time": {
		func(s *v1alpha1.S3SourceSpec) {
			s.Prefix = ""
			s.FromExport = &v1alpha1.FromExport{Claim: "data", Run: "a", Before: &metav1.Time{Time: time.Unix(1, 0)}}
		},
		"fromExport.run: remove it or before",
	},
	"an endpoint with a path": {
		func(s *v1alpha1.S3SourceSpec) { s.Endpoint = "https://s3.test/bucket" },
		"endpoint: write scheme, host and port only",
	},
	"an endpoint with credentials": {
		func(s *v1alpha1.S3SourceSpec) { s.Endpoint = "https://a:b@s3.test" },
		"endpoint: write scheme",
	},
	"an endpoint without a scheme": {
		func(s *v1alpha1.S3SourceSpec) { s.Endpoint = "s3.test:9000" },
		"endpoint: write scheme",
	},
	"neither endpoint nor region": {
		func(s *v1alpha1.S3SourceSpec) { s.Endpoint = "" },
		"region: required without endpoint",
	},
	"no bucket": {func(s *v1alpha1.S3SourceSpec) { s.Bucket = "" }, "bucket: required"},
	"a region with a blank": {
		func(s *v1alpha1.S3SourceSpec) { s.Region = "us east" },
		"region: letters, digits and dashes only",
	},
	"an unknown addressing": {
		func(s *v1alpha1.S3SourceSpec) { s.Addressing = "Dns" },
		`spec.addressing: Unsupported value: "Dns"`,
	},
	"a bucket in upper case": {
		func(s *v1alpha1.S3SourceSpec) { s.Bucket = "Data" },
		"bucket: 3 to 63 lower-case letters",
	},
	"a bucket with a path": {
		func(s *v1alpha1.S3SourceSpec) { s.Bucket = "data/set" },
		"a path goes into prefix",
	},
	"a bucket with two dots": {func(s *v1alpha1.S3SourceSpec) { s.Bucket = "da..ta" }, "bucket: 3 to 63"},
	"a short bucket":         {func(s *v1alpha1.S3SourceSpec) { s.Bucket = "ab" }, "spec.bucket"},
	"a prefix from the root": {
		func(s *v1alpha1.S3SourceSpec) { s.Prefix = "/set" },
		"prefix: keys in S3 do not begin with '/'",
	},
	"objects below a prefix": {
		func(s *v1alpha1.S3SourceSpec) { s.Prefix, s.Objects = "set/", object("a", "") },
		"prefix: remove it or remove objects",
	},
	"objects and a filter": {
		func(s *v1alpha1.S3SourceSpec) { s.Objects, s.Include = object("a", ""), []string{"*"} },
		"include and exclude select from a prefix",
	},
	"attributes of objects by name": {
		func(s *v1alpha1.S3SourceSpec) { s.Prefix, s.Objects, s.RestoreAttributes = "", object("a", ""), true },
		"restoreAttributes: remove it, or remove objects",
	},
	"an object outside of the volume": {
		func(s *v1alpha1.S3SourceSpec) { s.Objects = object("a", "../a") },
		"path: a relative path",
	},
	"an absolute object": {
		func(s *v1alpha1.S3SourceSpec) { s.Objects = object("a", "/etc/passwd") },
		"path: a relative path",
	},
	"an object twice": {
		func(s *v1alpha1.S3SourceSpec) { s.Objects = append(object("a", "x"), object("a", "y")...) },
		"spec.objects[1]: Duplicate value",
	},
	"a target outside of the volume": {
		func(s *v1alpha1.S3SourceSpec) { s.TargetPath = "a/../../b" },
		"targetPath: a relative path",
	},
	"a target with a slash too many": {
		func(s *v1alpha1.S3SourceSpec) { s.TargetPath = "a//b" },
		"targetPath: a relative path",
	},
	"a target that ends in a slash": {
		func(s *v1alpha1.S3SourceSpec) { s.TargetPath = "a/" },
		"targetPath: a relative path",
	},
	"two identities": {func(s *v1alpha1.S3SourceSpec) {
		s.Credentials = &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}, ServiceAccountName: "sa"}
	}, "credentials: set exactly one of secretRef and serviceAccountName"},
	"no identity": {
		func(s *v1alpha1.S3SourceSpec) { s.Credentials = &v1alpha1.Credentials{} },
		"leave credentials out for an anonymous bucket",
	},
	"a role without an account": {func(s *v1alpha1.S3SourceSpec) {
		s.Credentials = &v1alpha1.Credentials{
			SecretRef: &v1alpha1.SecretReference{Name: "s3"},
			RoleARN:   "arn:aws:iam::1:role/r",
		}
	}, "credentials.roleARN: only with serviceAccountName"},
	"an audience without an account": {func(s *v1alpha1.S3SourceSpec) {
		s.Credentials = &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}, Audience: "x"}
	}, "credentials.audience: only with serviceAccountName"},
	"a pod of two accounts": {func(s *v1alpha1.S3SourceSpec) {
		s.Credentials, s.Mover.ServiceAccountName = &v1alpha1.Credentials{ServiceAccountName: "a"}, "b"
	}, "mover.serviceAccountName: remove it"},
	"a key that no Secret can have": {func(s *v1alpha1.S3SourceSpec) {
		s.Credentials = &v1alpha1.Credentials{
			SecretRef: &v1alpha1.SecretReference{Name: "s3", Keys: &v1alpha1.SecretKeys{AccessKey: "a/b"}},
		}
	}, "spec.credentials.secretRef.keys.accessKey"},
	"files that nobody can read": {
		func(s *v1alpha1.S3SourceSpec) { s.Files = &v1alpha1.Files{Mode: new(int32(0o200))} },
		"mode: the owner must be able to read",
	},
	"directories without a way in": {
		func(s *v1alpha1.S3SourceSpec) { s.Files = &v1alpha1.Files{DirectoryMode: new(int32(0o644))} },
		"directoryMode: the owner must be able to read, write and enter",
	},
	"a mode with special bits": {
		func(s *v1alpha1.S3SourceSpec) { s.Files = &v1alpha1.Files{Mode: new(int32(0o4755))} },
		"spec.files.mode",
	},
	"a bundle that nobody looks at": {func(s *v1alpha1.S3SourceSpec) {
		s.TLS = &v1alpha1.TLS{
			InsecureSkipVerify: true,
			CABundles:          []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: "ca"}}},
		}
	}, "tls: caBundles are pointless with insecureSkipVerify"},
	"a bundle from two places": {func(s *v1alpha1.S3SourceSpec) {
		s.TLS = &v1alpha1.TLS{
			CABundles: []v1alpha1.CABundle{
				{ConfigMap: &v1alpha1.KeyReference{Name: "ca"}, Secret: &v1alpha1.KeyReference{Name: "ca"}},
			},
		}
	}, "caBundles[]: set exactly one of configMap and secret"},
	"a bundle from nowhere": {
		func(s *v1alpha1.S3SourceSpec) { s.TLS = &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{}}} },
		"caBundles[]: set exactly one",
	},
	"a bandwidth in words": {
		func(s *v1alpha1.S3SourceSpec) { s.Transfer.Bandwidth = "fast" },
		"bandwidth: bytes per second as a quantity",
	},
	"next to no bandwidth": {
		func(s *v1alpha1.S3SourceSpec) { s.Transfer.Bandwidth = "1Ki" },
		"bandwidth: bytes per second as a quantity of at least 64Ki",
	},
	"a secret in the environment": {func(s *v1alpha1.S3SourceSpec) {
		s.Mover.Env = []corev1.EnvVar{{Name: "AWS_SECRET_ACCESS_KEY", Value: "x"}}
	}, "env: credentials in a pod's environment can be read"},
	"an attempt of no time": {
		func(s *v1alpha1.S3SourceSpec) { s.Retries.AttemptTimeout = &metav1.Duration{Duration: time.Second} },
		"attemptTimeout: at least 10s",
	},
	"a restless interval": {
		func(s *v1alpha1.S3SourceSpec) { s.RefreshInterval = &metav1.Duration{Duration: time.Second} },
		"refreshInterval: 0 or at least 10s",
	},
	"more retries than patience": {
		func(s *v1alpha1.S3SourceSpec) { s.Retries.Limit = new(int32(101)) },
		"spec.retries.limit",
	},
	"an unknown engine": {
		func(s *v1alpha1.S3SourceSpec) { s.Transfer.Engine = "mc" },
		`spec.transfer.engine: Unsupported value: "mc"`,
	},
	"a cap below nothing": {
		func(s *v1alpha1.S3SourceSpec) { s.Transfer.MaxMovers = -1 },
		"spec.transfer.maxMovers",
	},
	"an unknown policy": {
		func(s *v1alpha1.S3SourceSpec) { s.OnEmpty = "Ignore" },
		`spec.onEmpty: Unsupported value: "Ignore"`,
	},
}

func object(key, path string) []v1alpha1.S3Object {
	return []v1alpha1.S3Object{{Key: key, Path: path}}
}

// A source that cannot work is refused when it is written, with the field and the fix;
// every rule of the schema is shown to do that.
func TestSchema(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	good := v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{Name: "source", Namespace: s.Namespace},
		Spec: v1alpha1.S3SourceSpec{
			S3Location: v1alpha1.S3Location{Endpoint: "https://s3.test:9000", Bucket: "datasets"},
			Prefix:     "set/",
		},
	}
	if err := world.Client.Create(t.Context(), good.DeepCopy(), client.DryRunAll); err != nil {
		t.Fatalf("a good source is refused: %v", err)
	}
	var said []string
	for name, test := range badSources {
		bad := good.DeepCopy()
		test.change(&bad.Spec)
		err := world.Client.Create(t.Context(), bad, client.DryRunAll)
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s is refused without %q: %v", name, test.want, err)
		}
		said = append(said, err.Error())
	}
	said = append(said, importSchema(t, s)...)
	said = append(said, exportSchema(t, s)...)
	said = append(said, policySchema(t, s)...)
	for _, rule := range rules(t) {
		if !rule.namesItsField() {
			t.Errorf("the rule at %s does not begin with that field or one below it: %s", rule.field, rule.message)
		}
		if !strings.Contains(strings.Join(said, "\n"), rule.message) {
			t.Errorf("no bad object shows this rule: %s", rule.message)
		}
	}
}

// rule is one validation rule of a CRD.
type rule struct {
	field   string   // It stands at this field, ...
	below   []string // ... which has these.
	message string
}

// namesItsField tells that a message says which field is wrong, relative to where its type
// is nested: the same type may be the spec of one kind and a field of another.
func (r rule) namesItsField() bool {
	return slices.ContainsFunc(append(r.below, r.field), func(name string) bool {
		rest, ok := strings.CutPrefix(r.message, name)
		return ok && strings.ContainsAny(rest[:1], ":.[ ")
	})
}

// rules are all validation rules in our CRDs.
func rules(t *testing.T) []rule {
	t.Helper()
	files, err := filepath.Glob("../manifests/crd/s3populator.io_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the CRDs: %v, %v", files, err)
	}
	var all []rule
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		for _, version := range crd.Spec.Versions {
			all = append(all, rulesBelow("", *version.Schema.OpenAPIV3Schema)...)
		}
	}
	if len(all) < 15 {
		t.Fatalf("found only the rules %+v", all)
	}
	return all
}

func rulesBelow(field string, s apiextensionsv1.JSONSchemaProps) (out []rule) {
	for _, v := range s.XValidations {
		out = append(out, rule{field: field, below: slices.Collect(maps.Keys(s.Properties)), message: v.Message})
	}
	for name, child := range s.Properties {
		out = append(out, rulesBelow(name, child)...)
	}
	if s.Items != nil {
		out = append(out, rulesBelow(field, *s.Items.Schema)...)
	}
	return out
}
