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

// What a mover had said when it was deleted is counted as that, if nobody could write it down before. Its success is
// not: nobody can look up any more what it has loaded.
func TestWhatAVanishedMoverSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		report wire.Report
		phase  v1alpha1.ImportPhase
		reason wire.Reason
	}{
		"a person has to": {
			wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, v1alpha1.ImportFailed, wire.AccessDenied,
		},
		"complete": {complete, v1alpha1.ImportFailed, wire.Interrupted}, // newImport allows no failure.
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
