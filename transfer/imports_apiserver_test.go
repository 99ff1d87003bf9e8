// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// testImportRules: what cannot be, or would widen or lose something, is refused; what the manager writes of a
// population is not.
func (w *world) testImportRules(t *testing.T) {
	type spec = *v1alpha1.S3ImportSpec
	one := []v1alpha1.S3Object{{Key: "models/a"}}
	for name, tt := range map[string]struct {
		change func(spec)
		want   string
	}{
		"as the manager writes it": {func(spec) {}, ""},
		"a part": {
			func(s spec) { s.Prefix, s.TargetPath, s.DeleteExtra = "models/", "models/new/", true }, "",
		},
		"one file": {func(s spec) { s.Objects, s.TargetPath = one, "a/b" }, ""},
		"a prefix and objects": {
			func(s spec) { s.Prefix, s.Objects = "models/", one }, "prefix: remove it or remove objects",
		},
		"extras of one file": {
			func(s spec) { s.Objects, s.DeleteExtra = one, true }, "deleteExtra: remove it or remove objects",
		},
		"a way up":          {func(s spec) { s.TargetPath = "a/../../b" }, "targetPath: a relative path"},
		"a part of exports": {func(s spec) { s.Prefix = ".s3populator/" }, "prefix: .s3populator"},
		"an fsGroup": {func(s spec) {
			s.Mover = &v1alpha1.ImportMover{PodSecurityContext: &corev1.PodSecurityContext{FSGroup: new(int64(1))}}
		}, "mover.podSecurityContext.fsGroup: remove it"},
	} {
		i := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Name: "rules", Namespace: "default"}}
		i.Spec.ClaimName, i.Spec.SourceName = "data", "models"
		tt.change(&i.Spec)
		err := w.Create(t.Context(), i, client.DryRunAll)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	i := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Name: "rules", Namespace: "default"}}
	i.Spec.ClaimName, i.Spec.SourceName = "data", "models"
	w.create(t, i)
	noted, kept := v1alpha1.ImportSelection{
		Server: "https://s3.test", Bucket: "models", Prefix: "beta/", ExportUID: "e-1", TargetPath: "data",
		ObjectsDigest: "sha256:x", GlobsDigest: "sha256:y",
	}, &v1alpha1.S3Import{}
	i.Status.Selection = &noted
	err := errors.Join(w.Status().Update(t.Context(), i), w.Get(t.Context(), client.ObjectKeyFromObject(i), kept))
	if err != nil || kept.Status.Selection == nil || *kept.Status.Selection != noted {
		t.Errorf("what an import loads is kept as %+v: %v", kept.Status.Selection, err)
	}
	for name, change := range map[string]func(spec){
		"prefix":      func(s spec) { s.Prefix = "a" },
		"objects":     func(s spec) { s.Objects = one },
		"targetPath":  func(s spec) { s.TargetPath = "a" },
		"deleteExtra": func(s spec) { s.DeleteExtra = true },
		"claimName":   func(s spec) { s.ClaimName = "other" },
		"sourceName":  func(s spec) { s.SourceName = "other" },
	} {
		changed := i.DeepCopy()
		change(&changed.Spec)
		err := w.Update(t.Context(), changed, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), name+": an import is one run and cannot be changed") {
			t.Errorf("another %s: %v", name, err)
		}
	}
	suspended := i.DeepCopy()
	suspended.Spec.Suspend, suspended.Spec.TTLSecondsAfterFinished = true, new(int32(1))
	if err := w.Update(t.Context(), suspended, client.DryRunAll); err != nil {
		t.Errorf("an import cannot be suspended: %v", err)
	}
	if err := w.Delete(t.Context(), i); err != nil {
		t.Error(err)
	}
}

// testImportTokens: the same token twice is one import, and a new one is another; both are the claim's.
func (w *world) testImportTokens(t *testing.T) {
	c := claim("refreshed", map[string]string{v1alpha1.AnnotationImportNow: "1"})
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source, Name: "models",
	}
	w.create(t, c)
	imports := func(want int, token string) {
		w.await(t, "the import of token "+token, func() error {
			var all v1alpha1.S3ImportList
			if err := w.List(t.Context(), &all, client.InNamespace("default")); err != nil {
				return err
			}
			now := &corev1.PersistentVolumeClaim{}
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(c), now); err != nil {
				return err
			}
			for n := range all.Items {
				i := &all.Items[n]
				if i.IsRecord() || !metav1.IsControlledBy(i, c) || i.Spec.SourceName != "models" {
					t.Errorf("import %+v", i)
				}
			}
			if len(all.Items) != want || now.Annotations[v1alpha1.AnnotationImportedNow] != token {
				return fmt.Errorf("there are %d, noted is %q", len(all.Items), now.Annotations[v1alpha1.AnnotationImportedNow])
			}
			return nil
		})
	}
	imports(1, "1")
	w.annotate(t, c.Name, "annotations", `{"s3populator.io/import-now":"1","x":"y"}`)
	w.annotate(t, c.Name, "annotations", `{"s3populator.io/import-now":"2"}`)
	imports(2, "2")
}
