// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// made steps until there is a mover, and returns when that was found.
func (b *bench) made(r *Reconciler, name string) time.Time {
	b.t.Helper()
	for range 20 {
		at := b.now
		b.step(r, name)
		if len(b.pods()) > 0 {
			return at
		}
	}
	b.t.Fatalf("no mover is made: %+v", b.find(name).Status)
	return time.Time{}
}

// endUnseen has a mover run that the manager sees, and then end, which it does not see yet.
func (b *bench) endUnseen(r *Reconciler) (running, ended corev1.Pod) {
	b.t.Helper()
	b.slow = true
	b.made(r, "run")
	b.step(r, "run")
	running = b.pods()[0]
	b.slow = false
	b.kubelet()
	return running, b.pods()[0]
}

// force deletes every pod at once, as `kubectl delete pod --force` does: no watch shows one that ends.
func (b *bench) force() {
	b.t.Helper()
	for _, pod := range b.pods() {
		if err := b.client.Delete(b.t.Context(), &pod); err != nil {
			b.t.Fatal(err)
		}
	}
}

// Movers that somebody deletes by force are made again with the pause of attempts that were ended from outside, and
// each counts as one; also where no cache had shown it yet.
func TestForceDeletedMoversAreMadeWithAPause(t *testing.T) {
	for name, looks := range map[string]int{"before anybody saw it": 0, "while it runs": 2} {
		b := newBench(t, complete, 0, false, newImport("run"))
		b.slow = true
		r := b.manager()
		var pauses []time.Duration
		var gone time.Time
		for n := range int32(4) {
			at := b.made(r, "run")
			if n > 0 {
				pauses = append(pauses, at.Sub(gone).Round(10*time.Second))
			}
			for range looks {
				b.step(r, "run")
			}
			b.force()
			gone = b.now
			b.step(r, "run")
			s := b.find("run").Status
			if s.Disruptions != n+1 || s.Failures != 0 || s.Attempts != n+1 || s.NextAttemptTime == nil ||
				len(b.pods()) > 0 {
				t.Fatalf("%s, time %d: %d pods, the status is %+v", name, n, len(b.pods()), s)
			}
		}
		if want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("%s: the pauses were %v, want %v", name, pauses, want)
		}
		b.slow = false
		b.settle("run")
		if s := b.find("run").Status; s.Phase != v1alpha1.ImportSucceeded || s.Attempts != 5 {
			t.Errorf("%s: in the end the status is %+v", name, s)
		}
	}
}

// What a mover had said when it was deleted is counted as that, if nobody could write it down before. No other mover
// follows one that was complete: it would bring back what programs have changed since.
func TestWhatAVanishedMoverSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		report wire.Report
		phase  v1alpha1.ImportPhase
		reason wire.Reason
	}{
		"a person has to": {
			wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, v1alpha1.ImportFailed, wire.AccessDenied,
		},
		"complete": {complete, v1alpha1.ImportSucceeded, wire.Reason(v1alpha1.ReasonImported)},
	} {
		b := newBench(t, tt.report, 0, false, newImport("run"))
		r := b.manager()
		b.made(r, "run")
		b.killAt = b.writes + 1 // The status that tells its end.
		b.step(r, "run")
		b.killAt = 0
		if s := b.find("run").Status; s.EndedMover != "" {
			t.Fatalf("%s: its end was written: %+v", name, s)
		}
		b.force()
		b.step(r, "run")
		i := b.find("run")
		if i.Status.Phase != tt.phase || i.Status.Conditions[0].Reason != string(tt.reason) {
			t.Errorf("%s: the status is %+v", name, i.Status)
		}
		b.settle("run")
		if s := b.find("run").Status; tt.report.Class == wire.Done &&
			(s.Phase != v1alpha1.ImportSucceeded || s.Attempts != 1 || s.ManifestDigest != complete.ManifestDigest) ||
			b.movers != 1 {
			t.Errorf("%s: %d movers have run, in the end the status is %+v", name, b.movers, s)
		}
	}
}

// A mover ends and is deleted by force between two looks at its import: only the watch has seen that it was complete.
// What the watch tells late of an earlier moment, or of another mover, does not matter.
func TestAnEndThatOnlyTheWatchSaw(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	r := b.manager()
	running, ended := b.endUnseen(r)
	another := running.DeepCopy()
	another.UID = "another"
	for _, pod := range []*corev1.Pod{&running, &ended, &running, another} {
		if woken := r.shown(t.Context(), pod); len(woken) != 1 || woken[0].NamespacedName != keyOf("run") {
			t.Fatalf("woken are %v", woken)
		}
	}
	b.force()
	b.step(r, "run")
	if s := b.find("run").Status; s.Phase != v1alpha1.ImportSucceeded || s.EndedMover != string(ended.UID) {
		t.Errorf("the status is %+v", s)
	}
	b.settle("run")
	if b.movers != 1 {
		t.Errorf("%d movers have run", b.movers)
	}
}

// The success of a mover that is gone waits for its source, however long that is not found.
func TestAVanishedSuccessWaitsForItsSource(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	r := b.manager()
	b.made(r, "run")
	name := func(export *v1alpha1.FromExport) {
		source := &v1alpha1.S3Source{}
		if err := b.client.Get(t.Context(), keyOf("models"), source); err != nil {
			t.Fatal(err)
		}
		source.Spec.FromExport = export
		if err := b.client.Update(t.Context(), source); err != nil {
			t.Fatal(err)
		}
	}
	name(&v1alpha1.FromExport{Run: "nightly"})
	b.step(r, "run")
	b.force()
	for range 3 {
		b.step(r, "run")
		c := b.find("run").Status.Conditions
		if len(c) == 0 || c[0].Reason != string(v1alpha1.ReasonExportNotFound) || len(b.pods()) > 0 {
			t.Fatalf("%d movers are there, told is %+v", len(b.pods()), c)
		}
	}
	name(nil)
	b.step(r, "run")
	if s := b.find("run").Status; s.Phase != v1alpha1.ImportSucceeded || b.movers != 1 {
		t.Errorf("%d movers have run, the status is %+v", b.movers, s)
	}
}

// The end of a mover that this manager has deleted is no failure, and the next one does not wait.
func TestOwnDeletionsHaveNoPause(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	b.slow = true
	r := b.manager()
	b.made(r, "run")
	b.step(r, "run")
	suspend := func(yes bool) {
		i := b.find("run")
		i.Spec.Suspend = yes
		if err := b.client.Update(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	suspend(true)
	for range 3 {
		b.step(r, "run")
	}
	if len(b.pods()) > 0 {
		t.Fatal("its mover goes on")
	}
	suspend(false)
	b.step(r, "run")
	if s := b.find("run").Status; len(b.pods()) != 1 || s.Disruptions != 0 || s.NextAttemptTime != nil {
		t.Errorf("%d movers, the status is %+v", len(b.pods()), s)
	}
}

// hides has a manager see no pods, or an import as it was, as a cache does that is behind.
func hides(r *Reconciler, pods bool, old *v1alpha1.S3Import) {
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			switch o := o.(type) {
			case *corev1.Pod:
				if pods {
					return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, key.Name)
				}
			case *v1alpha1.S3Import:
				if old != nil {
					old.DeepCopyInto(o)
					return nil
				}
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
}

// A cache that is behind shows no mover that has vanished, and has none made without its pause.
func TestCachesThatAreBehind(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	b.slow = true
	r := b.manager()
	sees := r.Client
	b.made(r, "run")
	hides(r, true, nil)
	for range 3 {
		b.step(r, "run")
	}
	if s := b.find("run").Status; len(b.pods()) != 1 || b.movers != 1 || s.Disruptions != 0 {
		t.Fatalf("%d movers have run, the status is %+v", b.movers, s)
	}
	r.Client = sees
	b.step(r, "run")
	before := b.find("run")
	b.force()
	b.step(r, "run")
	hides(r, false, before)
	for range 3 {
		b.step(r, "run")
	}
	if s := b.find("run").Status; len(b.pods()) > 0 || b.movers != 1 || s.Disruptions != 1 {
		t.Errorf("%d movers have run, the status is %+v", b.movers, s)
	}
}

// An import that was deleted takes its mover with it. A cache that shows the one and not the other makes no warning.
func TestAGoneImportHasNoWarning(t *testing.T) {
	b := newBench(t, complete, 0, false, newImport("run"))
	b.slow = true
	r, told := b.manager(), events.NewFakeRecorder(10)
	b.made(r, "run")
	b.step(r, "run")
	r.Events = told
	before := b.find("run")
	if err := b.client.Delete(t.Context(), before.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	b.kubelet()
	hides(r, false, before)
	b.step(r, "run")
	if len(b.pods()) > 0 || len(told.Events) > 0 {
		t.Errorf("%d pods are left, and told is %q", len(b.pods()), <-told.Events)
	}
}

// A mover is told to end, as its import is suspended, and is complete by then, which only the watch has seen. No other
// one follows it.
func TestAnEndThatCameBeforeItsDeletion(t *testing.T) {
	for name, wait := range map[string]bool{"while it is suspended": true, "when it goes on": false} {
		b := newBench(t, complete, 0, false, newImport("run"))
		r := b.manager()
		running, ended := b.endUnseen(r)
		b.slow = true
		r.shown(t.Context(), &running)
		suspend(b, true)
		behind(r, &running) // The manager deletes what it takes for a mover that runs.
		b.step(r, "run")
		if len(b.pods()) > 0 {
			t.Fatalf("%s: its mover was not told to end", name)
		}
		r.shown(t.Context(), &ended)
		r.Client = b.counted()
		if wait {
			b.step(r, "run")
		}
		suspend(b, false)
		b.step(r, "run")
		s := b.find("run").Status
		if s.Phase != v1alpha1.ImportSucceeded || s.EndedMover != string(ended.UID) || b.movers != 1 {
			t.Errorf("%s: %d movers have run, the status is %+v", name, b.movers, s)
		}
	}
}

func suspend(b *bench, is bool) {
	b.t.Helper()
	i := b.find("run")
	i.Spec.Suspend = is
	if err := b.client.Update(b.t.Context(), i); err != nil {
		b.t.Fatal(err)
	}
}

// behind has a manager see a pod as it was.
func behind(r *Reconciler, old *corev1.Pod) {
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			if pod, ok := o.(*corev1.Pod); ok {
				old.DeepCopyInto(pod)
				return nil
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
}
