// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// dataOf is a complete run below ml/data/uid-1/ of the bucket backups.
func dataOf() *v1alpha1.S3Export {
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "r1", UID: "uid-1"}}
	e.Spec.Destination.Endpoint, e.Spec.Destination.Bucket = "https://s3.test/", "backups"
	e.Status.Prefix = "ml/data/uid-1/"
	return e
}

func TestNeededBy(t *testing.T) {
	type source = *v1alpha1.S3Source
	reading := func(prefix string) func(source) { return func(s source) { s.Spec.Prefix = prefix } }
	naming := func(key string) func(source) {
		return func(s source) { s.Spec.Objects = []v1alpha1.S3Object{{Key: key}} }
	}
	for name, tt := range map[string]struct {
		change func(source)
		want   bool
	}{
		"its prefix":                  {reading("ml/data/uid-1/"), true},
		"its prefix without a slash":  {reading("ml/data/uid-1"), true},
		"a part of it":                {reading("ml/data/uid-1/models/"), true},
		"the beginning of its prefix": {reading("ml/da"), true},
		"all of the bucket":           {reading(""), true},
		"another run":                 {reading("ml/data/uid-2/"), false},
		"a run with a longer UID":     {reading("ml/data/uid-12/"), false},
		"another bucket":              {func(s source) { s.Spec.Prefix, s.Spec.Bucket = "ml/data/uid-1/", "other" }, false},
		"by another name of the server": {
			func(s source) { s.Spec.Prefix, s.Spec.Endpoint = "ml/data/uid-1/", "https://minio.svc" }, true,
		},
		"a prefix above, by another name": {
			func(s source) { s.Spec.Prefix, s.Spec.Endpoint = "ml/", "https://minio.svc" }, false,
		},
		"one of its objects":   {naming("ml/data/uid-1/a"), true},
		"an object of another": {naming("ml/data/uid-2/a"), false},
		"by its name":          {func(s source) { s.Spec.FromExport = &v1alpha1.FromExport{Run: "r1"} }, true},
		"by its name, elsewhere": {
			func(s source) { s.Namespace, s.Spec.FromExport = "other", &v1alpha1.FromExport{Run: "r1"} }, false,
		},
		"by the name of another": {func(s source) { s.Spec.FromExport = &v1alpha1.FromExport{Run: "r2"} }, false},
		"as it has found it": {func(s source) {
			s.Spec.FromExport, s.Status.FromExport = &v1alpha1.FromExport{}, &v1alpha1.SourceExport{UID: "uid-1"}
		}, true},
	} {
		s := v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "restore"}}
		s.Spec.Endpoint, s.Spec.Bucket = "https://s3.test", "backups"
		tt.change(&s)
		if got := NeededBy(dataOf(), []v1alpha1.S3Source{s}, nil); (got != "") != tt.want {
			t.Errorf("%s: %q, want %t", name, got, tt.want)
		}
	}
	copies := v1alpha1.S3Export{Status: v1alpha1.S3ExportStatus{CopiedFrom: "ml/data/uid-1/"}}
	if NeededBy(dataOf(), nil, []v1alpha1.S3Export{copies}) == "" {
		t.Error("a run that copies from it does not need it")
	}
	copies.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	if got := NeededBy(dataOf(), nil, []v1alpha1.S3Export{copies}); got != "" {
		t.Errorf("a run that has copied from it: %s", got)
	}
}

// TestACopyIsNotMarked: who restores an S3Export from a backup of the cluster restores its annotations.
func TestACopyIsNotMarked(t *testing.T) {
	at, e := time.Unix(1e9, 0).UTC(), dataOf()
	e.Annotations = map[string]string{v1alpha1.AnnotationPruning: Mark(e, at)}
	if !Pruning(e) || !PruningSince(e).Equal(at) {
		t.Errorf("%v is marked since %s", e.Annotations, PruningSince(e))
	}
	if e.UID = "uid-10"; Pruning(e) {
		t.Error("a copy is marked")
	}
	if e.UID = ""; Pruning(e) {
		t.Error("one without a UID is marked")
	}
}

func TestPartOf(t *testing.T) {
	e, same, other := dataOf(), dataOf(), dataOf()
	e.Spec.Include, same.Spec.Include = []string{"a", "b"}, []string{"b", "a"}
	other.Spec.Exclude = []string{"a", "b"}
	if PartOf(e) != PartOf(same) || PartOf(e) == PartOf(other) || PartOf(e) == PartOf(dataOf()) {
		t.Errorf("%s, %s, %s", PartOf(e), PartOf(same), PartOf(other))
	}
}
