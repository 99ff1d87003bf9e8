// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// later is a run of the same claim that ended so long after it, with so many files.
func (b *bench) later(name string, hours int, files int64) {
	b.t.Helper()
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name, UID: types.UID(name)}}
	e.Spec.ClaimName = "data"
	e.Spec.Destination.S3Location = b.export().Spec.Destination.S3Location
	if err := b.client.Create(b.t.Context(), e); err != nil {
		b.t.Fatal(err)
	}
	e.Status.ClaimUID, e.Status.Objects = "c-1", files
	e.Status.CompletionTime = new(metav1.NewTime(b.export().Status.CompletionTime.Add(time.Duration(hours) * time.Hour)))
	meta.SetStatusCondition(&e.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "Exported",
	})
	if err := b.client.Status().Update(b.t.Context(), e); err != nil {
		b.t.Fatal(err)
	}
}

// A run whose time is over stays while a later one of its claim found no file, and goes once one has some.
func TestTheLastWithFilesOutlivesItsTime(t *testing.T) {
	b := newBench(t, wire.Report{Class: wire.Done, Objects: 7, ManifestDigest: "sha256:x"}, 0, false)
	e := b.export()
	e.Spec.TTLSecondsAfterFinished = new(int32(7 * 24 * 3600))
	if err := b.client.Update(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for passes := 0; e.Status.Phase != v1alpha1.ExportSucceeded; passes++ {
		if passes > 20 {
			t.Fatalf("the run does not end: %+v", e.Status)
		}
		b.step()
		e = b.export()
	}
	b.later("empty", 1, 0)
	b.settle()
	if over := b.now.Sub(e.Status.CompletionTime.Time); over < 7*24*time.Hour {
		t.Fatalf("its time is not over after %s", over)
	}
	if b.export() == nil {
		t.Fatal("the last run that had files has expired, and there is an empty one")
	}
	b.later("full", 2, 3)
	b.settle()
	if e = b.export(); e != nil {
		t.Errorf("a later run has files, and this one is still there: %+v", e.Status)
	}
}
