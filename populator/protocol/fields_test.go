// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// managersOwn are the fields that no mover has to know of, and who reads them.
var managersOwn = map[string]string{
	".Sizing.OveragePercent": "the prime's request",
	".Sizing.OnTooSmall":     "the prime's request",
	".Transfer.MaxMovers":    "the queue of movers",
	".Retries.Limit":         "the retries of a population and of a listing",
	".RefreshInterval":       "the next listing",
	".ClaimSelector":         "admission",
	".FromExport.Claim":      "the inventory, which finds the prefix",
	".FromExport.Run":        "the inventory, which finds the prefix",
	".FromExport.Before":     "the inventory, which finds the prefix",
}

// samples are values for types that are not ours, and for strings that are parsed.
var samples = map[string]any{
	"*v1.Time":          &metav1.Time{Time: time.Unix(1, 0)},
	"*v1.Duration":      &metav1.Duration{Duration: time.Hour},
	"*v1.LabelSelector": &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
	"*v1.ResourceRequirements": &corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("3")},
	},
	"[]v1.Toleration":           []corev1.Toleration{{Key: "gpu"}},
	"*v1.Affinity":              &corev1.Affinity{PodAffinity: &corev1.PodAffinity{}},
	"[]v1.LocalObjectReference": []corev1.LocalObjectReference{{Name: "pull"}},
	"*v1.PodSecurityContext":    &corev1.PodSecurityContext{RunAsUser: new(int64(7))},
	"[]v1.EnvVar":               []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "http://proxy"}},
	".S3Location.Endpoint":      "https://s3.test",
	".Transfer.Bandwidth":       "1Mi",
}

// fill gives every field a value and visits those that hold one, with their paths.
func fill(v reflect.Value, path string, visit func(path string, leaf reflect.Value)) {
	if s := samples[path]; s != nil {
		v.Set(reflect.ValueOf(s).Convert(v.Type()))
		visit(path, v)
		return
	}
	if s := samples[v.Type().String()]; s != nil {
		v.Set(reflect.ValueOf(s))
		visit(path, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
		return
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, visit)
		return
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), path+"[]", visit)
		return
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"example.com/" + strings.ToLower(path[1:]): "x"}))
	case reflect.String:
		v.SetString("v" + strings.ReplaceAll(path, ".", "-"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(0o555)
	default:
		panic(fmt.Sprintf("%s: no value for %s", path, v.Type()))
	}
	visit(path, v)
}

// variants leave out what excludes something else.
var variants = []func(*v1alpha1.S3SourceSpec){
	func(s *v1alpha1.S3SourceSpec) {
		s.Credentials.ServiceAccountName, s.TLS.CABundles[0].Secret, s.FromExport = "", nil, nil
	},
	func(s *v1alpha1.S3SourceSpec) {
		s.Credentials.SecretRef, s.TLS.CABundles[0].ConfigMap, s.FromExport = nil, nil, nil
	},
}

// A field that can be set and changes nothing is worse than one that is missing. Each field of
// a source, taken away from a source that has them all, makes another pod.
func TestEveryFieldReachesTheMover(t *testing.T) {
	t.Parallel()
	var paths []string
	fill(
		reflect.ValueOf(&v1alpha1.S3SourceSpec{}).Elem(),
		"",
		func(path string, _ reflect.Value) { paths = append(paths, path) },
	)
	if len(paths) < 45 {
		t.Fatalf("found only the fields %q", paths)
	}
	for _, path := range paths {
		reaches := slices.ContainsFunc(variants, func(variant func(*v1alpha1.S3SourceSpec)) bool {
			return podWithout(t, "", variant) != podWithout(t, path, variant)
		})
		_, own := managersOwn[path]
		if reaches == own {
			t.Errorf("field %s: reaches the mover is %v, is for the manager alone is %v", path, reaches, own)
		}
	}
	for path := range managersOwn {
		if !slices.Contains(paths, path) {
			t.Errorf("there is no field %s any more", path)
		}
	}
}

func podWithout(t *testing.T, without string, variant func(*v1alpha1.S3SourceSpec)) string {
	t.Helper()
	s := world(boundPrime)
	spec := &s.Source.Spec
	*spec = v1alpha1.S3SourceSpec{}
	fill(reflect.ValueOf(spec).Elem(), "", func(path string, leaf reflect.Value) {
		if path == without {
			leaf.SetZero()
		}
	})
	variant(spec)
	pod, err := Mover(s, MoverOptions{Defaults: moverpod.Defaults{RunAs: moverpod.NonRoot}})
	if err != nil {
		t.Fatal(err)
	}
	delete(pod.Annotations, v1alpha1.AnnotationRequestHash)
	delete(pod.Annotations, v1alpha1.AnnotationPodHash)
	text, err := yaml.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
