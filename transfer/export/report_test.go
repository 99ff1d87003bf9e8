// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// Who waits until the generation was observed does not wait for ever where a run that is over is edited. What became of
// the run stays.
func TestTheGenerationOfARunThatIsOverIsObserved(t *testing.T) {
	for phase, report := range map[v1alpha1.ExportPhase]wire.Report{
		v1alpha1.ExportSucceeded: {Class: wire.Done, Objects: 3, Bytes: 7, ManifestDigest: "sha256:x"},
		v1alpha1.ExportFailed:    {Class: wire.User, Reason: wire.AccessDenied, Message: "no"},
	} {
		b := newBench(t, report, 0, false)
		b.settle()
		e := b.export()
		want := e.Status.DeepCopy()
		want.ObservedGeneration = e.Generation + 1
		e.Generation++
		e.Spec.Suspend = true
		if err := b.client.Update(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		b.settle()
		if got := b.export().Status; got.Phase != phase || got.ObservedGeneration != want.ObservedGeneration ||
			!got.CompletionTime.Equal(want.CompletionTime) || len(got.Conditions) != len(want.Conditions) {
			t.Errorf("%s: the status is %+v, want %+v", phase, got, want)
		}
	}
}

// What is left in S3 is told also where the finalizer of the export was the last thing that kept it.
func TestWhatIsLeftOfAGoneExportIsTold(t *testing.T) {
	for name, written := range map[string]bool{"it is gone": false, "it was written since": true} {
		b := newBench(t, complete, 0, false)
		r, told := b.reconciler(b.manager()), events.NewFakeRecorder(10)
		r.Events = told
		gone := b.export()
		if written {
			b.change(func(e *v1alpha1.S3Export) { e.Finalizers = []string{"example.com/other"} })
		} else {
			must(t, b.client.Delete(t.Context(), gone.DeepCopy()))
		}
		s := protocol.State{Now: b.now, Export: gone}
		gone.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRemovalPending, Status: metav1.ConditionTrue}}
		err := r.report(t.Context(), s, protocol.Decision{
			Action: protocol.RemoveFinalizer, Announce: v1alpha1.ReasonUploadsLeft, Message: "Uploads are left.",
		})
		if apierrors.IsConflict(err) != written || !written && err != nil || len(told.Events) != 1 {
			t.Errorf("%s: %d events were made, want 1 (%v)", name, len(told.Events), err)
		}
	}
}
