// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// order is a server with a claim that a policy alone keeps, and what happens to both.
type order struct {
	t      *testing.T
	server client.WithWatch
	// old is what the cache shows; nil shows what there is.
	old      client.Reader
	now      time.Time
	recorder *events.FakeRecorder
	manager  *Reconciler
}

// fakeIndexes registers the indexes of the cache with a fake server.
type fakeIndexes struct{ to *fake.ClientBuilder }

func (i fakeIndexes) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.to.WithIndex(o, field, f)
	return nil
}

func newOrder(t *testing.T) *order {
	t.Helper()
	o := &order{t: t, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), recorder: events.NewFakeRecorder(100)}
	o.server = o.newServer()
	o.restart()
	return o
}

func (o *order) newServer() client.WithWatch {
	o.t.Helper()
	s := world(alive, asksNothing, byPolicy)
	s.Claim.ResourceVersion, s.Volume.ResourceVersion = "", ""
	s.Claim.Finalizers = []string{v1alpha1.FinalizerFinalExport}
	b := fake.NewClientBuilder().WithScheme(schemeOf(o.t)).WithObjects(s.Claim, s.Volume, &s.Policies[0]).
		WithStatusSubresource(&corev1.PersistentVolumeClaim{})
	if err := addIndexes(o.t.Context(), fakeIndexes{b}); err != nil {
		o.t.Fatal(err)
	}
	return b.Build()
}

// restart is another process of the manager, with nothing remembered.
func (o *order) restart() {
	o.manager = &Reconciler{Events: o.recorder, Now: func() time.Time { return o.now }}
}

// stale has the cache show what there is now, whatever happens later.
func (o *order) stale() {
	o.old = o.newServer()
	if policies := o.policies(); policies == 0 {
		o.must(o.old.(client.WithWatch).Delete(o.t.Context(), o.policy()))
	}
}

func (o *order) policies() int {
	var all v1alpha1.S3ExportPolicyList
	o.must(o.server.List(o.t.Context(), &all))
	return len(all.Items)
}

func (o *order) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// pass lets the manager look once at a claim that is held, which it knows by its UID.
func (o *order) pass() {
	o.t.Helper()
	o.look(string(uid))
}

// look lets the manager answer one request.
func (o *order) look(name string) {
	o.t.Helper()
	o.manager.Client, o.manager.Live = o.server, o.server
	if o.old != nil {
		o.manager.Client = kubetest.Cached(o.server, o.old)
	}
	_, err := o.manager.Reconcile(o.t.Context(), ctrl.Request{
		NamespacedName: types.NamespacedName{Namespace: "team", Name: name},
	})
	o.must(err)
}

func (o *order) after(d time.Duration) { o.now = o.now.Add(d) }

func (o *order) policy() *v1alpha1.S3ExportPolicy { p := nightly("nights", 5); return &p }

func (o *order) deletePolicy() { o.must(o.server.Delete(o.t.Context(), o.policy())) }

func (o *order) makePolicy() { o.must(o.server.Create(o.t.Context(), o.policy())) }

func (o *order) claim() *corev1.PersistentVolumeClaim {
	o.t.Helper()
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "data"}}
	o.must(o.server.Get(o.t.Context(), client.ObjectKeyFromObject(c), c))
	return c
}

func (o *order) deleteClaim() { o.must(o.server.Delete(o.t.Context(), o.claim())) }

func (o *order) told() string {
	var all []string
	for len(o.recorder.Events) > 0 {
		all = append(all, <-o.recorder.Events)
	}
	return strings.Join(all, "\n")
}

// TestAPolicyAndItsClaimGo in every order, also where the cache is behind: a claim that is deleted within a minute of
// its policy stays until somebody says where to, and one that is let go is told of.
func TestAPolicyAndItsClaimGo(t *testing.T) {
	for name, tt := range map[string]struct {
		play func(*order)
		held bool
		told string // Of the events, a part; empty for none.
	}{
		"nothing": {func(o *order) { o.pass(); o.after(time.Hour); o.pass() }, true, ""},
		"the policy alone": {
			func(o *order) { o.deletePolicy(); o.pass(); o.after(time.Minute); o.pass() }, false,
			"Warning FinalExportNotAsked For 1m0s neither annotations of the claim nor an S3ExportPolicy",
		},
		"the policy alone, a moment later": {
			func(o *order) { o.deletePolicy(); o.pass(); o.after(time.Minute - 1); o.pass() }, true, "",
		},
		"the policy, then the claim": {
			func(o *order) { o.deletePolicy(); o.pass(); o.after(time.Second); o.deleteClaim(); o.pass() }, true,
			"Warning InvalidAnnotations",
		},
		"the policy, then the claim, for long": {
			func(o *order) {
				o.deletePolicy()
				o.pass()
				o.after(59 * time.Second)
				o.deleteClaim()
				for range 3 {
					o.pass()
					o.after(time.Hour)
				}
			}, true, "Warning InvalidAnnotations",
		},
		"the claim, then the policy": {
			func(o *order) { o.deleteClaim(); o.deletePolicy(); o.pass(); o.after(time.Hour); o.pass() }, true,
			"Warning InvalidAnnotations",
		},
		"the policy comes back, and goes again": {
			func(o *order) {
				o.deletePolicy()
				o.pass()
				o.after(50 * time.Second)
				o.makePolicy()
				o.pass()
				o.deletePolicy()
				o.pass()
				o.after(50 * time.Second)
				o.pass()
			}, true, "",
		},
		"another manager": {
			func(o *order) { o.deletePolicy(); o.pass(); o.after(50 * time.Second); o.restart(); o.pass() }, true, "",
		},
		"the cache shows no deletion of the claim": {
			func(o *order) {
				o.deletePolicy()
				o.stale()
				o.pass()
				o.deleteClaim()
				o.after(time.Minute)
				o.pass()
			}, true, "",
		},
		"the cache does not show a policy that came back": {
			func(o *order) {
				o.deletePolicy()
				o.stale()
				o.pass()
				o.makePolicy()
				o.after(time.Minute)
				o.pass()
			}, true, "",
		},
		"the cache still shows the policy": {
			func(o *order) { o.stale(); o.deletePolicy(); o.pass(); o.after(time.Hour); o.pass() }, true, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t)
			tt.play(o)
			if held := Held(o.claim()); held != tt.held {
				t.Errorf("the claim is held: %t, want %t", held, tt.held)
			}
			if said := o.told(); !strings.Contains(said, tt.told) || (said == "") != (tt.told == "") {
				t.Errorf("told %q, want %q", said, tt.told)
			}
		})
	}
}

// TestFinalizersOfOthersStay: of a claim that only a policy selects the cache shows none.
func TestFinalizersOfOthersStay(t *testing.T) {
	o := newOrder(t)
	o.stale()
	set := func(c client.WithWatch, finalizers ...string) {
		claim := &corev1.PersistentVolumeClaim{}
		o.must(c.Get(t.Context(), types.NamespacedName{Namespace: "team", Name: "data"}, claim))
		claim.Finalizers = finalizers
		o.must(c.Update(t.Context(), claim))
	}
	set(o.server, "example.com/other")
	set(o.old.(client.WithWatch))
	o.look(byName + "data")
	if got := o.claim().Finalizers; !slices.Equal(got, []string{"example.com/other", v1alpha1.FinalizerFinalExport}) {
		t.Errorf("the claim has the finalizers %v", got)
	}
}
