// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The literal hashes of this file are on movers and volumes of running clusters. One that
// changes ends the movers of everybody who upgrades; do not correct the test.
const (
	leastRequest = "1.eaa5deef8995b67c"
	leastPod     = "1.e3b0c44298fc1c14"
	fullRequest  = "1.8dd5b94f22601d5a"
	fullPod      = "1.c46a6cd019a4f1db"
)

// fullSource sets every field that a request or a pod is made from.
func fullSource() v1alpha1.S3SourceSpec {
	return v1alpha1.S3SourceSpec{
		S3Location: v1alpha1.S3Location{
			Endpoint: "https://minio.data.svc:9000", Region: "eu-1", Addressing: "Path", Bucket: "datasets",
			Credentials: &v1alpha1.Credentials{
				SecretRef: &v1alpha1.SecretReference{
					Name: "s3",
					Keys: &v1alpha1.SecretKeys{AccessKey: "id", SecretKey: "key", SessionToken: "token"},
				},
				ServiceAccountName: "reader", RoleARN: "arn", Audience: "minio",
			},
			TLS: &v1alpha1.TLS{InsecureSkipVerify: true, CABundles: []v1alpha1.CABundle{
				{
					ConfigMap: &v1alpha1.KeyReference{Name: "ca", Key: "root.pem"},
				}, {Secret: &v1alpha1.KeyReference{Name: "ca", Key: "ca.crt"}},
			}},
		},
		Prefix: "imagenet/", PrefixMode: "Literal",
		Objects: []v1alpha1.S3Object{{Key: "a", Path: "b", VersionID: "v1"}, {Key: "c"}},
		Include: []string{"**/*.jpg", "**/*.png"}, Exclude: []string{"tmp/**"}, TargetPath: "data",
		RequestPayer: true, Files: &v1alpha1.Files{
			UID: new(int64(1000)), GID: new(int64(1000)), Mode: new(int32(0o640)),
			DirectoryMode: new(int32(0o750)),
		},
		OnEmpty: "Allow", UnsafeKeys: "Skip",
		Transfer: v1alpha1.Transfer{Engine: "MC", Parallelism: 8, Bandwidth: "100Mi", Verify: "Size"},
		Mover: v1alpha1.Mover{
			Resources: &corev1.ResourceRequirements{
				Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
			}, NodeSelector: map[string]string{"disk": "fast", "a": "b"},
			Tolerations: []corev1.Toleration{
				{Operator: corev1.TolerationOpExists},
			}, Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
			PriorityClassName: "high", ServiceAccountName: "puller",
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			Labels:           map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"},
			PodSecurityContext: &corev1.PodSecurityContext{
				RunAsUser: new(int64(1000)),
			}, Env: []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "http://proxy"}},
		},
		Retries: v1alpha1.Retries{AttemptTimeout: &metav1.Duration{Duration: time.Hour}},
	}
}

func hashes(spec v1alpha1.S3SourceSpec) (request, pod string) {
	s := world()
	s.Source.Spec = spec
	return RequestHash(s.Source, s.Claim), PodHash(s.Source)
}

// TestHashesAreTheSameInEveryVersion: an upgrade of ours ends no mover.
func TestHashesAreTheSameInEveryVersion(t *testing.T) {
	least := world().Source.Spec
	defaulted := world(upgraded).Source.Spec
	for name, c := range map[string]struct {
		spec         v1alpha1.S3SourceSpec
		request, pod string
	}{
		"the least that a source says": {least, leastRequest, leastPod},
		"the same with all defaults":   {defaulted, leastRequest, leastPod},
		"all that a source can say":    {fullSource(), fullRequest, fullPod},
	} {
		if request, pod := hashes(c.spec); request != c.request || pod != c.pod {
			t.Errorf("%s: hashes are %s and %s, want %s and %s", name, request, pod, c.request, c.pod)
		}
	}
}

// What is written in another way is the same request.
func TestSameRequestInOtherWords(t *testing.T) {
	for name, c := range map[string][2]func(*v1alpha1.S3SourceSpec){
		"a directory's slash": {
			func(s *v1alpha1.S3SourceSpec) { s.Prefix = "a" },
			func(s *v1alpha1.S3SourceSpec) { s.Prefix = "a/" },
		},
		"an endpoint's slash": {
			func(s *v1alpha1.S3SourceSpec) { s.Endpoint = "http://minio" },
			func(s *v1alpha1.S3SourceSpec) { s.Endpoint = "http://minio/" },
		},
		"the order of globs": {
			func(s *v1alpha1.S3SourceSpec) { s.Include = []string{"a", "b"} },
			func(s *v1alpha1.S3SourceSpec) { s.Include = []string{"b", "a"} },
		},
		"the order of objects": {
			func(s *v1alpha1.S3SourceSpec) { s.Objects = []v1alpha1.S3Object{{Key: "a"}, {Key: "b"}} },
			func(s *v1alpha1.S3SourceSpec) { s.Objects = []v1alpha1.S3Object{{Key: "b", Path: "b"}, {Key: "a"}} },
		},
		"a key of a bundle": {
			func(s *v1alpha1.S3SourceSpec) {
				s.TLS = &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{Secret: &v1alpha1.KeyReference{Name: "ca"}}}}
			},
			func(s *v1alpha1.S3SourceSpec) {
				s.TLS = &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{Secret: &v1alpha1.KeyReference{Name: "ca", Key: "ca.crt"}}}}
			},
		},
	} {
		one, two := world(), world()
		c[0](&one.Source.Spec)
		c[1](&two.Source.Spec)
		if a, b := RequestHash(one.Source, one.Claim), RequestHash(two.Source, two.Claim); a != b || a == baseHash() {
			t.Errorf("%s: hashes are %s and %s, that of none %s", name, a, b, baseHash())
		}
	}
}

// Beside the spec, the source itself and the retry token are part of a request.
func TestRequestIsMoreThanASpec(t *testing.T) {
	for name, c := range map[string]change{"the source": recreated, "the retry token": retried} {
		if s := world(c); RequestHash(s.Source, s.Claim) == baseHash() {
			t.Errorf("a change of %s is no other request", name)
		}
	}
	if s := world(inventory, otherUse); RequestHash(s.Source, s.Claim) != baseHash() || PodHash(s.Source) != basePod() {
		t.Error("what no mover depends on is another request")
	}
}

// part tells which hash a field belongs to.
type part int

const (
	neither part = iota
	ofRequest
	ofPod
)

// parts places every field of a source's spec, by its path in JSON; what is below a path
// belongs where it does. A field that is missing here was added without a decision: does a
// change of it mean other data on the volume (ofRequest), another pod (ofPod), or neither?
var parts = map[string]part{
	"endpoint": ofRequest, "region": ofRequest, "addressing": ofRequest, "bucket": ofRequest,
	"credentials.secretRef.name": ofRequest, "credentials.secretRef.keys": ofRequest, "credentials.audience": ofRequest,
	"requestPayer": ofRequest, "restoreAttributes": ofRequest,
	"objects.versionId": ofRequest, "files": ofRequest, "credentials.serviceAccountName": ofRequest,
	"credentials.roleARN":    ofRequest,
	"tls.insecureSkipVerify": ofRequest, "tls.caBundles.configMap.name": ofRequest,
	"tls.caBundles.configMap.key": ofRequest,
	"tls.caBundles.secret.name":   ofRequest, "tls.caBundles.secret.key": ofRequest,
	"prefix": ofRequest, "prefixMode": ofRequest, "objects.key": ofRequest, "objects.path": ofRequest,
	"include": ofRequest, "exclude": ofRequest,
	"targetPath": ofRequest, "onEmpty": ofRequest, "unsafeKeys": ofRequest, "transfer.verify": ofRequest,

	"transfer.engine": ofPod, "transfer.parallelism": ofPod, "transfer.bandwidth": ofPod, "retries.attemptTimeout": ofPod,
	"mover.resources": ofPod, "mover.nodeSelector": ofPod, "mover.tolerations": ofPod, "mover.affinity": ofPod,
	"mover.priorityClassName": ofPod, "mover.imagePullSecrets": ofPod, "mover.labels": ofPod, "mover.annotations": ofPod,
	"mover.podSecurityContext": ofPod, "mover.serviceAccountName": ofPod, "mover.env": ofPod,

	"transfer.maxMovers": neither, "sizing": neither, "retries.limit": neither, "refreshInterval": neither,
	"claimSelector": neither, "fromExport": neither, // Its prefix is.
}

// TestEveryFieldHasItsPart changes each field of a full spec and looks at both hashes.
func TestEveryFieldHasItsPart(t *testing.T) {
	placed := map[string]bool{}
	request, pod := hashes(fullSource())
	eachField(reflect.TypeFor[v1alpha1.S3SourceSpec](), "", nil, func(path string, at [][]int) {
		want, ok := parts[path]
		if !ok {
			t.Errorf(
				"spec.%s is in neither hash on purpose nor in one of them: add it to hash.go if a change of it has to restart "+
					"movers, and to this test",
				path,
			)
			return
		}
		placed[path] = true
		spec := fullSource()
		alter(reflect.ValueOf(&spec).Elem(), at)
		r, p := hashes(spec)
		if (r != request) != (want == ofRequest) || (p != pod) != (want == ofPod) {
			t.Errorf("spec.%s: a change of it changes the request: %t, the pod: %t", path, r != request, p != pod)
		}
	})
	for path := range parts {
		if !placed[path] {
			t.Errorf("spec.%s does not exist any more", path)
		}
	}
}

// eachField visits the leaves, and what parts names, with the index of each step.
func eachField(of reflect.Type, path string, at [][]int, visit func(string, [][]int)) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if _, named := parts[path]; named || of.Kind() != reflect.Struct {
		visit(path, at)
		return
	}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		below := path
		if name != "" {
			below = strings.TrimPrefix(path+"."+name, ".")
		}
		eachField(of.Field(i).Type, below, append(append([][]int{}, at...), []int{i}), visit)
	}
}

// alter gives the field another value; of a list, its last element that has one.
func alter(v reflect.Value, at [][]int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			if len(at) == 0 {
				return
			}
		}
		alter(v.Elem(), at)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			if len(at) == 0 {
				return
			}
		}
		alter(v.Index(0), at)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("other"), reflect.ValueOf("value"))
	case reflect.Struct:
		if len(at) > 0 {
			alter(v.FieldByIndex(at[0]), at[1:])
			return
		}
		v.SetZero()
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		v.SetInt(v.Int() + 1)
	}
}
