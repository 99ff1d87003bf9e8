// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// testFilesNoted: the API server takes the note with the condition, in one write, and it is there when the S3Export is
// gone. So a claim that says that it was exported has the note, and tells by it of a run that finds none.
func (w *world) testFilesNoted(t *testing.T) {
	c := claim("noted", map[string]string{
		v1alpha1.AnnotationExportTo: "s3://backups", v1alpha1.AnnotationExportRegion: "x", v1alpha1.AnnotationExportNow: "1",
	})
	w.create(t, c)
	w.await(t, "the run", w.count(t, "noted", 1))
	run := w.exports(t, "noted")[0]
	run.Status.ClaimUID, run.Status.Objects = string(c.UID), 7
	w.end(t, run, v1alpha1.ConditionComplete)
	w.await(t, "the condition", w.exported(t, "noted", corev1.ConditionTrue))
	run = w.exports(t, "noted")[0]
	noted := func() error {
		now := &corev1.PersistentVolumeClaim{}
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(c), now); err != nil {
			return err
		}
		want := annotated.Files{
			Claim: c.UID, Run: run.Name, UID: run.UID, Files: 7, At: run.Status.CompletionTime.UTC(),
		}
		if got, ok := annotated.FilesOf(now); !ok || got != want {
			return fmt.Errorf("the claim is exported, and notes %+v (%t), want %+v", got, ok, want)
		}
		return nil
	}
	if err := noted(); err != nil {
		t.Error(err)
	}
	if err := w.Delete(t.Context(), &run); err != nil {
		t.Fatal(err)
	}
	w.annotate(t, "noted", "annotations", `{"s3populator.io/export-now":"2"}`)
	w.await(t, "the next run", w.count(t, "noted", 1))
	if err := noted(); err != nil {
		t.Error(err)
	}
	empty := w.exports(t, "noted")[0]
	empty.Status.ClaimUID = string(c.UID)
	w.end(t, empty, v1alpha1.ConditionComplete)
	w.await(t, "that it found no file where one that is gone had some", w.exported(t, "noted", corev1.ConditionFalse))
}
