// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Who waits until the generation was observed does not wait for ever where a run that is over is edited. What became of
// the run stays.
func TestTheGenerationOfARunThatIsOverIsObserved(t *testing.T) {
	for phase, report := range map[v1alpha1.ImportPhase]wire.Report{
		v1alpha1.ImportSucceeded: complete,
		v1alpha1.ImportFailed:    {Class: wire.User, Reason: wire.AccessDenied, Message: "no"},
	} {
		b := newBench(t, report, 0, false, newImport("run"))
		b.settle("run")
		i := b.find("run")
		want := i.Status.DeepCopy()
		want.ObservedGeneration = i.Generation + 1
		i.Generation++
		i.Spec.Suspend = true
		if err := b.client.Update(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		b.settle("run")
		if got := b.find("run").Status; got.Phase != phase || got.ObservedGeneration != want.ObservedGeneration ||
			!got.CompletionTime.Equal(want.CompletionTime) || len(got.Conditions) != len(want.Conditions) {
			t.Errorf("%s: the status is %+v, want %+v", phase, got, want)
		}
	}
}
