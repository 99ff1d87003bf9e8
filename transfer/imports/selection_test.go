// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/populator/queue"
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

// A CRD from before there was status.selection: the API server drops it. Nothing is loaded, that is told, it is tried
// again at the pace of errors, and nobody else waits for the place of the mover.
func TestACRDThatDropsTheSelection(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	q := queue.New(queue.Caps{Cluster: 1}, func() time.Time { return b.now })
	told := events.NewFakeRecorder(10)
	r := b.manager()
	r.Places, r.Events = places.Office{Queue: q, Cache: b.client, Now: func() time.Time { return b.now }}, told
	r.Client = interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{SubResourcePatch: func(
		ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption,
	) error {
		return dropSelection(ctx, c.SubResource(sub), o, p)
	}})
	_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: keyOf("run")})
	if err == nil || !strings.Contains(err.Error(), "upgrade the CRDs") {
		t.Errorf("it says %v", err)
	}
	close(told.Events)
	if e := <-told.Events; !strings.HasPrefix(e, "Warning WriteRefused") || !strings.Contains(e, "upgrade the CRDs") {
		t.Errorf("it tells %q", e)
	}
	if i := b.find("run"); i.Status.Selection != nil || len(b.pods()) > 0 {
		t.Errorf("%d movers, the import is %+v", len(b.pods()), i.Status)
	}
	other := queue.Request{Use: queue.Use{UID: "other", Namespace: "team", Places: 1}, Role: v1alpha1.RoleImport}
	if at := q.Ask(nil, other); at != nil {
		t.Errorf("another mover waits: %+v", at)
	}
	r = b.manager() // The CRD was upgraded.
	for range 2 {
		b.now = b.now.Add(time.Minute)
		b.step(r, "run")
	}
	if b.movers != 1 {
		t.Errorf("after the upgrade %d movers ran", b.movers)
	}
}

// dropSelection answers as an API server does that does not know the field: what it does not answer stays in what the
// answer is read into.
func dropSelection(ctx context.Context, c client.SubResourceClient, o client.Object, p client.Patch) error {
	data, err := p.Data(o)
	if err != nil {
		return err
	}
	var patch struct {
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return err
	}
	delete(patch.Status, "selection")
	if data, err = json.Marshal(patch); err != nil {
		return err
	}
	answer := &v1alpha1.S3Import{}
	answer.Namespace, answer.Name = o.GetNamespace(), o.GetName()
	if err := c.Patch(ctx, answer, client.RawPatch(p.Type(), data)); err != nil {
		return err
	}
	if data, err = json.Marshal(answer); err != nil {
		return err
	}
	return json.Unmarshal(data, o)
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

// A source is edited and an import made right after. A cache of sources that is behind that of imports does not have
// the import note what its source selected before: it would fail for an edit that is older than itself.
func TestWhatIsNotedIsWhatTheSourceSelects(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	old := &v1alpha1.S3Source{}
	if err := b.client.Get(t.Context(), keyOf("models"), old); err != nil {
		t.Fatal(err)
	}
	b.edit("v2/", false)
	r := b.manager()
	sees := r.Client
	r.Client = interceptor.NewClient(sees.(client.WithWatch), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			if source, ok := o.(*v1alpha1.S3Source); ok {
				old.DeepCopyInto(source)
				return nil
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	for range 3 {
		b.step(r, "run")
	}
	if s := b.find("run").Status; s.Selection != nil || len(b.pods()) > 0 {
		t.Fatalf("by a cache that is behind %d movers are made, noted is %+v", len(b.pods()), s.Selection)
	}
	r.Client = sees
	b.settle("run")
	if s := b.find("run").Status; s.Phase != v1alpha1.ImportSucceeded || s.Selection.Prefix != "v2/" || b.movers != 1 {
		t.Errorf("%d movers have run, the status is %+v", b.movers, s)
	}
}
