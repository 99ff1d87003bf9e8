// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/e2e/cluster/authority"
	"github.com/s3populator/s3populator/e2e/story"
)

// quickstart is what most examples of the guide stand on.
var quickstart = []string{"quickstart.yaml"}

// website is what the examples for other people's charts serve.
var website = map[string][]byte{"index.html": []byte("<h1>It works</h1>"), "img/logo.svg": []byte("<svg/>")}

// samples has a row for each file of manifests/samples.
var samples = map[string]sample{
	"quickstart.yaml": {keys: beside("imagenet/"), want: prefixed("imagenet/")},
	"reader.yaml": {
		first:    quickstart,
		keys:     beside("imagenet/"),
		want:     prefixed("imagenet/"),
		ordinary: true,
		ends:     running("trainer"),
	},
	"annotated.yaml":      {first: quickstart, keys: beside("imagenet/"), want: prefixed("imagenet/")},
	"bind-immediate.yaml": {first: quickstart, keys: beside("imagenet/"), want: prefixed("imagenet/")},
	"anonymous.yaml": {
		keys: beside("scenes/2024/"), want: prefixed("scenes/2024/"), claim: &story.Claim{Source: "landsat"},
		given: func(_ *story.Story, b *story.Bucket, _ *story.Site) { b.AllowAnyone() },
	},
	"aws.yaml": {
		keys: beside("2026/"), want: prefixed("2026/"), claim: &story.Claim{Source: "reports"},
		given: func(s *story.Story, b *story.Bucket, _ *story.Site) {
			s.Keys("aws-reader", "access_key", "secret_key", b)
		},
	},
	"private-ca.yaml": {
		server: story.MinIOTLS,
		keys:   story.Small("", 4),
		want:   prefixed(""),
		claim:  &story.Claim{Source: "internal"},
		given:  corporate,
	},
	"filters.yaml": {
		keys: map[string][]byte{
			"photos/a.jpg": []byte("a"), "photos/2024/b.jpg": []byte("b"), "photos/thumbnails/a.jpg": []byte("t"),
			"photos/2024/thumbnails/b.jpg": []byte("u"),
			"photos/index.json":            []byte("{}"), "photos/2024/index.json": []byte("[]"),
			"photos/notes.txt": []byte("n"), "photos2/c.jpg": []byte("c"),
		},
		want: func(b *story.Bucket) story.Content {
			return b.Where(func(key string) (string, bool) {
				name, below := strings.CutPrefix(key, "photos/")
				return name, below && slices.Contains([]string{"a.jpg", "2024/b.jpg", "index.json"}, name)
			})
		},
		claim: &story.Claim{Source: "photos"},
	},
	"objects.yaml": {
		keys: map[string][]byte{
			"llama/2026-03/model.safetensors": story.Bytes(1, 3*story.MiB), "llama/2026-03/tokenizer.json": []byte("{}"),
			"llama/2026-03/notes.txt": []byte("not asked for"), "licenses/llama.txt": []byte("free"),
		},
		want: renamed, claim: &story.Claim{Source: "llama"},
	},
	"versions.yaml": {
		given: func(s *story.Story, b *story.Bucket, site *story.Site) {
			s.Keys("vendor-keys", "id", "password", b)
			site.Version = b.Overwritten("model.safetensors", []byte("the version that is pinned"), []byte("a later one"))
		},
		want: prefixed(""), claim: &story.Claim{Source: "pinned"},
	},
	"target-path.yaml": {
		keys:  website,
		want:  func(b *story.Bucket) story.Content { return b.Under("").In("var/www/html") },
		claim: &story.Claim{Source: "site"},
	},
	"files.yaml": {
		keys: beside("pgdata/"), want: prefixed("pgdata/"), claim: &story.Claim{Source: "database"},
		given: func(s *story.Story, _ *story.Bucket, _ *story.Site) {
			s.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "registry-puller", Namespace: s.Namespace}})
		},
	},
	"block.yaml":       {keys: map[string][]byte{"debian-12.raw": story.Bytes(12, 5*story.MiB+512)}, want: prefixed("")},
	"statefulset.yaml": {keys: story.Small("", 4), want: prefixed(""), ordinary: true, given: named("search-index")},
	// As it stands but for image and size.
	"annotated-statefulset.yaml": {keys: website, want: prefixed(""), ordinary: true, given: named("website")},
	"annotated-url.yaml":         {keys: beside("llama/"), want: prefixed("llama/")},
	"selecting.yaml": {
		keys: story.Small("", 4), want: prefixed(""), given: injected, ends: selects(map[string]string{"app": "inference"}),
		claim: &story.Claim{Labels: map[string]string{"app": "inference"}},
	},
	"one-release.yaml": {keys: beside("llama/"), want: prefixed("llama/"), warns: []string{"SourceNotFound"}},
	"grow.yaml": {
		keys:  map[string][]byte{"growing/big.bin": story.Bytes(3, 24*story.MiB)},
		want:  prefixed("growing/"),
		claim: &story.Claim{Source: "growing", Size: "4Mi"},
	},
	"transfer.yaml": {
		server: story.VersityGW,
		keys:   story.Small("", 4),
		want:   prefixed(""),
		claim:  &story.Claim{Source: "archive"},
	},
	"max-movers.yaml": {keys: story.Small("", 4), want: prefixed(""), claim: &story.Claim{Source: "small-server"}},
	"mover.yaml": {
		keys: story.Small("", 4), want: prefixed(""), claim: &story.Claim{Source: "shared"},
		given: func(s *story.Story, _ *story.Bucket, _ *story.Site) {
			class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "batch"}} // A lower one is preempted.
			s.Create(class)
			s.T.Cleanup(func() { s.Remove(class) })
		},
	},
	"proxy.yaml":                        {elsewhere: "TestProxySample"},
	"export.yaml":                       {elsewhere: "TestExportSample"},
	"export-snapshot.yaml":              {elsewhere: "TestExportOfASnapshot"},
	"import.yaml":                       {elsewhere: "TestImportSample"},
	"restore.yaml":                      {elsewhere: "TestExportSample"},
	"export-annotated.yaml":             {elsewhere: "TestExportByAnnotation"},
	"export-policy.yaml":                {elsewhere: "TestExportBySchedule"},
	"irsa.yaml":                         {read: "AWS injects the token of its ServiceAccount, and AWS's STS takes it"},
	"minio-sts.yaml":                    {elsewhere: "TestMinIOSTS"},
	"overlay/kustomization.yaml":        {elsewhere: "TestInstallCommands"},
	"third-party/Chart.yaml":            {elsewhere: "chart.TestThirdPartyChart"},
	"third-party/annotated.values.yaml": {elsewhere: "chart.TestThirdPartyChart"},
	"third-party/selected.values.yaml":  {elsewhere: "chart.TestThirdPartyChart"},
}

// beside is a few objects below a prefix, and one next to it that is not meant.
func beside(prefix string) map[string][]byte {
	keys := story.Small(prefix, 5)
	keys[strings.TrimSuffix(prefix, "/")+"2/other.txt"] = []byte("not meant")
	return keys
}

// named makes a source that an example names and another one shows.
func named(source string) func(*story.Story, *story.Bucket, *story.Site) {
	return func(s *story.Story, b *story.Bucket, _ *story.Site) { s.Source(source, b) }
}

// corporate makes the two bundles of an example: one that the server does not need, and its own.
func corporate(s *story.Story, b *story.Bucket, _ *story.Site) {
	other, err := authority.New("corporate")
	if err != nil {
		s.T.Fatal(err)
	}
	s.Create(
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "corporate-ca", Namespace: s.Namespace},
			Data:       map[string]string{"root.pem": string(other.PEM())},
		},
	)
	s.Create(
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "minio-tls", Namespace: s.Namespace},
			Data:       map[string][]byte{"ca.crt": b.Server.CABundle},
		},
	)
}

// The example of a proxy is followed: S3 is reached through it, and progress is not.
func TestProxySample(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIOTLS).Put(story.Small("", 4)).AllowAnyone()
	proxy := s.ForwardProxy()
	apply(s, story.Site{Bucket: bucket, Proxy: proxy.URL}, []string{"proxy.yaml"})
	s.Populated(s.Claim(story.Claim{Source: "outside"}), bucket.Under(""))
	want := strings.TrimPrefix(bucket.Server.Endpoint, "https://")
	if hosts := proxy.Hosts(); !slices.Equal(hosts, []string{want}) {
		t.Errorf("the proxy was asked for %v, want only %s", hosts, want)
	}
}
