// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func claim(annotations map[string]string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "ml", UID: "u-1", Annotations: map[string]string{}},
	}
	for name, value := range annotations {
		c.Annotations[v1alpha1.Group+"/"+name] = value
	}
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{Name: "data-source"}
	return c
}

func block(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
	return c
}

func TestSpec(t *testing.T) {
	tests := map[string]struct {
		claim    *corev1.PersistentVolumeClaim
		want     v1alpha1.S3SourceSpec
		wantErrs []string
	}{
		"a prefix on AWS": {
			claim: claim(map[string]string{"url": "s3://datasets/imagenet/", "region": "eu-west-1"}),
			want: v1alpha1.S3SourceSpec{
				S3Location: v1alpha1.S3Location{Region: "eu-west-1", Bucket: "datasets"},
				Prefix:     "imagenet/",
			},
		},
		"everything that can be said": {
			claim: claim(
				map[string]string{
					"url":          "s3://datasets",
					"endpoint":     "https://minio:9000",
					"region":       "x",
					"secret":       "s3",
					"ca-configmap": "ca",
					"auto-size":    "true",
				},
			),
			want: v1alpha1.S3SourceSpec{
				S3Location: v1alpha1.S3Location{
					Endpoint: "https://minio:9000", Region: "x", Bucket: "datasets",
					Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}},
					TLS:         &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: "ca"}}}},
				},
				Sizing: v1alpha1.Sizing{OnTooSmall: v1alpha1.TooSmallGrow},
			},
		},
		"a ServiceAccount": {
			claim: claim(map[string]string{"url": "s3://datasets", "region": "x", "service-account": "reader"}),
			want: v1alpha1.S3SourceSpec{
				S3Location: v1alpha1.S3Location{
					Region:      "x",
					Bucket:      "datasets",
					Credentials: &v1alpha1.Credentials{ServiceAccountName: "reader"},
				},
			},
		},
		"empty companions, as charts leave them, are absent": {
			claim: claim(
				map[string]string{
					"url":             "s3://datasets",
					"endpoint":        "http://minio",
					"region":          "",
					"secret":          "",
					"service-account": "",
					"ca-configmap":    "",
					"auto-size":       "false",
				},
			),
			want: v1alpha1.S3SourceSpec{S3Location: v1alpha1.S3Location{Endpoint: "http://minio", Bucket: "datasets"}},
		},
		"one object for a Block volume": {
			claim: block(claim(map[string]string{"url": "s3://images/disks/root.img", "region": "x"})),
			want: v1alpha1.S3SourceSpec{
				S3Location: v1alpha1.S3Location{Region: "x", Bucket: "images"},
				Objects:    []v1alpha1.S3Object{{Key: "disks/root.img"}},
			},
		},
		"a prefix for a Block volume": {
			claim:    block(claim(map[string]string{"url": "s3://images/disks/", "region": "x"})),
			wantErrs: []string{"/url]: Invalid value: \"s3://images/disks/\": spec.volumeMode is Block"},
		},
		"a bucket for a Block volume": {
			claim:    block(claim(map[string]string{"url": "s3://images", "region": "x"})),
			wantErrs: []string{"takes exactly one object"},
		},
		"a server without a region": {
			claim:    claim(map[string]string{"url": "s3://datasets"}),
			wantErrs: []string{"/region]: Required value: without s3populator.io/endpoint the server is AWS"},
		},
		"two identities": {
			claim:    claim(map[string]string{"url": "s3://datasets", "region": "x", "secret": "a", "service-account": "b"}),
			wantErrs: []string{"excludes s3populator.io/secret"},
		},
		"all that is wrong, at once": {
			claim: claim(
				map[string]string{"url": "datasets", "endpoint": "minio", "region": "a b", "secret": "A_B", "ca-configmap": "x/y"},
			),
			wantErrs: []string{
				"must begin with s3://",
				"scheme, host and port",
				"letters, digits and dashes",
				"name of a Secret",
				"name of a ConfigMap",
			},
		},
		"a path in the endpoint": {
			claim:    claim(map[string]string{"url": "s3://datasets", "endpoint": "https://minio/datasets"}),
			wantErrs: []string{"the bucket goes into the URL"},
		},
		"credentials in the endpoint": {
			claim:    claim(map[string]string{"url": "s3://datasets", "endpoint": "https://key:geheim@minio"}),
			wantErrs: []string{"(hidden)@minio"},
		},
		"a name that no account has": {
			claim:    claim(map[string]string{"url": "s3://datasets", "region": "x", "service-account": "-a"}),
			wantErrs: []string{"name of a ServiceAccount"},
		},
		"an endpoint beyond all limits": {
			claim:    claim(map[string]string{"url": "s3://datasets", "endpoint": "http://" + strings.Repeat("x", 512)}),
			wantErrs: []string{"/endpoint]"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := Spec(tt.claim)
			if len(errs) != len(tt.wantErrs) {
				t.Fatalf("errors %v, want %d", errs, len(tt.wantErrs))
			}
			for i, want := range tt.wantErrs {
				if !strings.Contains(errs[i].Error(), want) || strings.Contains(errs[i].Error(), "geheim") {
					t.Errorf("error %q, want one with %q and no secret", errs[i], want)
				}
			}
			if diff := cmp.Diff(tt.want, got); len(errs) == 0 && diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNameIsTheClaimsAlone(t *testing.T) {
	base := func() *corev1.PersistentVolumeClaim { return claim(map[string]string{"url": "s3://datasets/a"}) }
	name := func(change func(*corev1.PersistentVolumeClaim), unique string) string {
		c := base()
		change(c)
		return Name(c, unique)
	}
	same := func(*corev1.PersistentVolumeClaim) {}
	generated := func(c *corev1.PersistentVolumeClaim) { c.Name, c.GenerateName = "", "data-" }
	first := name(same, "1")
	if !strings.HasPrefix(first, "data-") || name(same, "2") != first {
		t.Errorf("names %s and %s of one claim, want one that begins with the claim's", first, name(same, "2"))
	}
	others := map[string]string{
		"another claim with equal annotations": name(func(c *corev1.PersistentVolumeClaim) { c.Name = "data2" }, "1"),
		"another URL": name(
			func(c *corev1.PersistentVolumeClaim) { c.Annotations[v1alpha1.AnnotationURL] = "s3://datasets/b" },
			"1",
		),
		"another volume mode":    name(func(c *corev1.PersistentVolumeClaim) { block(c) }, "1"),
		"a generated name":       name(generated, "1"),
		"another generated name": name(generated, "2"),
	}
	seen := map[string]string{first: "the claim"}
	for what, got := range others {
		if seen[got] != "" {
			t.Errorf("%s and %s share the name %s", what, seen[got], got)
		}
		seen[got] = what
	}
	for _, long := range []string{
		strings.Repeat("a", 253), strings.Repeat("a", 241) + ".-" + "b",
		strings.Repeat("a.", 126) + "a", "---",
	} {
		got := name(func(c *corev1.PersistentVolumeClaim) { c.Name = long }, "")
		if wrong := validation.NameIsDNSSubdomain(got, false); len(wrong) > 0 {
			t.Errorf("name %q of claim %q: %v", got, long, wrong)
		}
	}
}

func TestSource(t *testing.T) {
	got, errs := Source(claim(map[string]string{"url": "s3://datasets/a", "region": "x"}))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	want := &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{
			Name: "data-source", Namespace: "ml",
			Labels: map[string]string{"app.kubernetes.io/managed-by": "s3populator", "s3populator.io/claim-uid": "u-1"},
			Annotations: map[string]string{
				"s3populator.io/inventory": "Skip",
				"s3populator.io/made-from": fingerprint(claim(map[string]string{"url": "s3://datasets/a", "region": "x"})),
			},
			OwnerReferences: []metav1.OwnerReference{
				{
					APIVersion:         "v1",
					Kind:               "PersistentVolumeClaim",
					Name:               "data",
					UID:                "u-1",
					Controller:         new(true),
					BlockOwnerDeletion: new(true),
				},
			},
		},
		Spec: v1alpha1.S3SourceSpec{S3Location: v1alpha1.S3Location{Region: "x", Bucket: "datasets"}, Prefix: "a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
	sized, errs := Source(claim(map[string]string{"url": "s3://datasets/a", "region": "x", "auto-size": "true"}))
	if len(errs) > 0 || sized.Annotations[v1alpha1.AnnotationInventory] != "" ||
		sized.Annotations[v1alpha1.AnnotationMadeFrom] == got.Annotations[v1alpha1.AnnotationMadeFrom] {
		t.Errorf(
			"an auto-sized claim's source has annotations %v, errors %v; want an inventory and another fingerprint",
			sized.Annotations,
			errs,
		)
	}
	if s, errs := Source(claim(map[string]string{"url": "datasets"})); s != nil || len(errs) == 0 {
		t.Errorf("a bad URL made %v, %v; want nothing but errors", s, errs)
	}
}
