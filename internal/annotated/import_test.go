// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func TestImportOf(t *testing.T) {
	t.Parallel()
	filled := func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSourceRef = &corev1.TypedObjectReference{
			APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source, Name: "models",
		}
	}
	with := func(name, value string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) { c.Annotations[name] = value }
	}
	now := v1alpha1.AnnotationImportNow
	for name, tt := range map[string]struct {
		changes []func(*corev1.PersistentVolumeClaim)
		token   string
		want    string
	}{
		"nothing":                 {},
		"a token":                 {changes: []func(*corev1.PersistentVolumeClaim){filled, with(now, "1")}, token: "1"},
		"what a chart left empty": {changes: []func(*corev1.PersistentVolumeClaim){with(now, "")}},
		"before the source is a reference": {
			changes: []func(*corev1.PersistentVolumeClaim){with(now, "1"), with(v1alpha1.AnnotationSource, "models")},
			token:   "1",
		},
		"a claim of no source": {
			changes: []func(*corev1.PersistentVolumeClaim){with(now, "1")}, token: "1", want: "is no S3Source",
		},
		"a device": {
			changes: []func(*corev1.PersistentVolumeClaim){filled, with(now, "1"), func(c *corev1.PersistentVolumeClaim) {
				c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
			}}, token: "1", want: "volumeMode is Block",
		},
		"a token that cannot be printed": {
			changes: []func(*corev1.PersistentVolumeClaim){filled, with(now, "1\n")}, token: "1\n", want: "short token",
		},
		"a misspelt one": {
			changes: []func(*corev1.PersistentVolumeClaim){filled, with(v1alpha1.ImportPrefix+"nwo", "1")}, want: "import-nwo",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &corev1.PersistentVolumeClaim{}
			c.Annotations = map[string]string{}
			for _, change := range tt.changes {
				change(c)
			}
			token, errs := ImportOf(c)
			if token != tt.token || (len(errs) > 0) != (tt.want != "") || len(errs) > 0 &&
				!strings.Contains(errs.ToAggregate().Error(), tt.want) {
				t.Errorf("token %q, errors %v, want %q", token, errs, tt.want)
			}
			if mentioned := len(c.Annotations) > 0 && name != "before the source is a reference"; mentioned &&
				!ImportMentioned(c) {
				t.Error("the claim says something about imports")
			}
		})
	}
}
