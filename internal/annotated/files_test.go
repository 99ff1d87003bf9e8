// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestFilesOf: what a claim notes of another one, as a copy does, is no note of it.
func TestFilesOf(t *testing.T) {
	note := Files{Claim: "c-1", Run: "nightly-1", UID: "e-1", Files: 7, At: time.Unix(1e9, 0).UTC()}
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"its own":             {note.String(), true},
		"none":                {"", false},
		"no JSON":             {"7 files", false},
		"of another claim":    {`{"claim":"c-0","run":"nightly-1","uid":"e-1","files":7}`, false},
		"of nobody knows who": {`{"run":"nightly-1","uid":"e-1","files":7}`, false},
		"of no run":           {`{"claim":"c-1","files":7}`, false},
		"without files":       {`{"claim":"c-1","run":"nightly-1","uid":"e-1","files":0}`, false},
	} {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{UID: "c-1", Annotations: map[string]string{
			v1alpha1.AnnotationExportedFiles: tt.text,
		}}}
		if got, ok := FilesOf(c); ok != tt.want || ok && got != note {
			t.Errorf("%s: %+v (%t), want it believed: %t", name, got, ok, tt.want)
		}
	}
	nameless := &corev1.PersistentVolumeClaim{}
	nameless.Annotations = map[string]string{v1alpha1.AnnotationExportedFiles: `{"claim":"","run":"r","files":7}`}
	if _, ok := FilesOf(nameless); ok {
		t.Error("a claim without a UID believes a note without one")
	}
}
