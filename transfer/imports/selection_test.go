// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// An import loads what its source selects when its first mover is made, or is Failed: whenever the source is edited,
// whenever a manager is killed, and also where the pod goes before anybody has looked at it. No two of its movers load
// different things, and what loaded the old is not Complete after the edit.
func TestOneRunLoadsOneSelection(t *testing.T) {
	ended := map[v1alpha1.ImportPhase]int{}
	for n := range 9 * 10 * 2 * 2 {
		moment, killAt, slow, gone := n/40, n/4%10, n%2 == 0, n/2%2 == 0
		i := newImport("run")
		i.Spec.Retries.Limit = new(int32(3))
		b := newBench(t, wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "reset"}, killAt,
			moment%2 == 0, i)
		if b.slow = slow; !slow && killAt%2 == 0 {
			b.report = complete
		}
		for range moment {
			b.step(b.manager(), "run")
		}
		was := b.find("run").Status
		b.edit("v2/", gone)
		b.slow, b.report = false, complete
		b.settle("run")
		is := b.find("run").Status
		ended[is.Phase]++
		what := fmt.Sprintf("edited after %d passes, killed at write %d, slow %t, pod gone %t: loaded %q, was %s, is %+v",
			moment, killAt, slow, gone, b.loads, was.Phase, is)
		loads := slices.Compact(slices.Sorted(slices.Values(b.loads)))
		if is.Selection == nil || len(loads) > 1 || len(loads) == 1 && loads[0] != is.Selection.Prefix {
			t.Errorf("%s: that is no one selection", what)
			continue
		}
		old := is.Selection.Prefix != "v2/"
		if was.Phase != v1alpha1.ImportSucceeded && old != (is.Phase == v1alpha1.ImportFailed) {
			t.Errorf("%s: it does not say so", what)
		}
	}
	if ended[v1alpha1.ImportSucceeded] < 40 || ended[v1alpha1.ImportFailed] < 40 || len(ended) != 2 {
		t.Errorf("they ended %v: one of both is hardly played", ended)
	}
}

// edit makes the source select another prefix, and somebody may have deleted the pods meanwhile.
func (b *bench) edit(prefix string, gone bool) {
	b.t.Helper()
	if gone {
		if err := b.client.DeleteAllOf(b.t.Context(), &corev1.Pod{}, client.InNamespace("team")); err != nil {
			b.t.Fatal(err)
		}
	}
	source := &v1alpha1.S3Source{}
	if err := b.client.Get(b.t.Context(), keyOf("models"), source); err != nil {
		b.t.Fatal(err)
	}
	source.Spec.Prefix = prefix
	if err := b.client.Update(b.t.Context(), source); err != nil {
		b.t.Fatal(err)
	}
}
