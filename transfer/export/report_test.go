// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
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
