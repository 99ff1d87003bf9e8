// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

var complete = wire.Report{Class: wire.Done, Objects: 3, Bytes: 7, ManifestDigest: "sha256:x"}

// made steps until there is a mover or a Job, and returns when that was found to be due.
func (b *bench) made(r *Reconciler) time.Time {
	b.t.Helper()
	for range 20 {
		at := b.now
		b.stepOf(r)
		if b.pods()+b.jobs() > 0 {
			return at
		}
	}
	b.t.Fatalf("no mover is made: %+v", b.export().Status)
	return time.Time{}
}

// force deletes every pod and Job at once, as `kubectl delete --force` does: no watch shows one that ends.
func (b *bench) force() {
	b.t.Helper()
	for _, kind := range []client.Object{&corev1.Pod{}, &batchv1.Job{}} {
		must(b.t, b.client.DeleteAllOf(b.t.Context(), kind, client.InNamespace(key.Namespace)))
	}
}

func (b *bench) change(do func(*v1alpha1.S3Export)) {
	b.t.Helper()
	e := b.export()
	do(e)
	must(b.t, b.client.Update(b.t.Context(), e))
}

// Movers that somebody deletes by force are made again with the pause of attempts that were ended from outside, and
// each counts as one; also where no cache had shown it yet. In the end the run is complete.
func TestForceDeletedMoversAreMadeWithAPause(t *testing.T) {
	for name, looks := range map[string]int{"before anybody saw it": 0, "while it runs": 2} {
		b := newBench(t, complete, 0, false)
		b.slow = true
		r := b.reconciler(b.manager())
		var pauses []time.Duration
		var gone time.Time
		for n := range int32(4) {
			at := b.made(r)
			if n > 0 {
				pauses = append(pauses, at.Sub(gone).Round(10*time.Second))
			}
			for range looks {
				b.stepOf(r)
			}
			b.force()
			gone = b.now
			b.stepOf(r)
			s := b.export().Status
			if s.Disruptions != n+1 || s.Failures != 0 || s.Attempts != n+1 || s.NextAttemptTime == nil || b.pods() > 0 {
				t.Fatalf("%s, time %d: %d pods, the status is %+v", name, n, b.pods(), s)
			}
		}
		if want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("%s: the pauses were %v, want %v", name, pauses, want)
		}
		b.slow = false
		b.settle()
		if s := b.export().Status; s.Phase != v1alpha1.ExportSucceeded || s.Attempts != 5 || b.open {
			t.Errorf("%s: in the end the status is %+v, open uploads: %v", name, s, b.open)
		}
	}
}

// A Job that is deleted by force together with its pods is one attempt that was ended from outside. Neither what made
// the plan before it nor itself is counted again.
func TestForceDeletedJobsAreMadeWithAPause(t *testing.T) {
	b := newShardedBench(t, 0, false)
	b.idle = true
	r := b.reconciler(b.manager())
	for n := range int32(3) {
		for range 20 {
			if b.jobs() == 0 {
				b.stepOf(r)
			}
		}
		if b.jobs() != 1 {
			t.Fatalf("time %d: there is no Job: %+v", n, b.export().Status)
		}
		for range n { // Before anybody saw it, and later.
			b.stepOf(r)
		}
		b.force()
		b.stepOf(r)
		if s := b.export().Status; s.Disruptions != n+1 || s.Failures != 0 || s.NextAttemptTime == nil || b.jobs() > 0 {
			t.Fatalf("time %d: %d Jobs, the status is %+v", n, b.jobs(), s)
		}
	}
	b.idle = false
	for range 40 {
		b.stepOf(r)
	}
	if s := b.export().Status; s.Phase != v1alpha1.ExportSucceeded || b.pods()+b.jobs() > 0 {
		t.Errorf("in the end there are %d pods and %d Jobs, the status is %+v", b.pods(), b.jobs(), s)
	}
}

// What a mover had said when it was deleted is counted as that, if nobody could write it down before. Its success is
// not: nobody can look up any more what it has sent. Nor is it a failure, of which newBench allows none: the next one
// completes the run.
func TestWhatAVanishedMoverSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		report wire.Report
		phase  v1alpha1.ExportPhase
		reason wire.Reason
	}{
		"a person has to": {
			wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, v1alpha1.ExportFailed, wire.AccessDenied,
		},
		"complete": {complete, v1alpha1.ExportPending, wire.Interrupted},
	} {
		b := newBench(t, tt.report, 0, false)
		r := b.reconciler(b.manager())
		b.made(r)
		b.killAt = b.writes + 1 // The status that tells its end.
		b.stepOf(r)
		b.killAt = 0
		if s := b.export().Status; s.EndedMover != "" {
			t.Fatalf("%s: its end was written: %+v", name, s)
		}
		b.force()
		b.stepOf(r)
		if s := b.export().Status; s.Phase != tt.phase || s.Conditions[0].Reason != string(tt.reason) {
			t.Errorf("%s: the status is %+v", name, s)
		}
		b.settle()
		if s := b.export().Status; tt.report.Class == wire.Done &&
			(s.Phase != v1alpha1.ExportSucceeded || s.Attempts != 2 || s.Failures+s.Disruptions != 0) {
			t.Errorf("%s: in the end the status is %+v", name, s)
		}
	}
}

// Whatever becomes of a run whose mover vanished, its uploads are ended without a wait for the pause: where it was
// given up, and where it is deleted before that, also if the claim goes with its end.
func TestUploadsOfVanishedMoversAreEnded(t *testing.T) {
	for name, role := range map[string]string{"an export": "", "a last export": v1alpha1.RoleFinalExport} {
		for _, given := range []bool{true, false} {
			b := newBench(t, complete, 0, false)
			b.slow = true
			if role != "" {
				b.change(func(e *v1alpha1.S3Export) { e.Labels = map[string]string{v1alpha1.LabelRole: role} })
			}
			r := b.reconciler(b.manager())
			b.made(r)
			b.stepOf(r)
			if e := b.export(); given {
				e.Status.Disruptions = 50
				must(t, b.client.Status().Update(t.Context(), e))
			}
			b.force()
			if !given {
				b.stepOf(r) // It is counted, and the next one is due in a while.
				must(t, b.client.Delete(t.Context(), b.export()))
			}
			gone := b.now
			for range 3 {
				b.stepOf(r)
			}
			if b.aborts != 1 || b.open || b.movers != 1 || b.now.Sub(gone) > time.Minute {
				t.Errorf("%s, given up: %v: after %s uploads were ended %d times, open uploads: %v, %d movers",
					name, given, b.now.Sub(gone), b.aborts, b.open, b.movers)
			}
			for range 5 {
				b.stepOf(r)
			}
			switch e := b.export(); {
			case given && (e == nil || e.Status.Phase != v1alpha1.ExportFailed || protocol.Guarded(e)):
				t.Errorf("%s, given up: it is %+v", name, e)
			case !given && e != nil:
				t.Errorf("%s, deleted: it is %+v", name, e)
			}
		}
	}
}

// The end of a mover that this manager has deleted, or would have, is no failure, and the next one does not wait.
func TestOwnDeletionsHaveNoPause(t *testing.T) {
	for name, forced := range map[string]bool{"by the manager": false, "by force, while it is suspended": true} {
		b := newBench(t, complete, 0, false)
		b.slow = true
		r := b.reconciler(b.manager())
		b.made(r)
		b.stepOf(r)
		b.change(func(e *v1alpha1.S3Export) { e.Spec.Suspend = true })
		if forced {
			b.force()
		}
		b.stepOf(r) // Nobody looks again before it goes on.
		if b.pods() > 0 {
			t.Fatalf("%s: its mover goes on", name)
		}
		b.change(func(e *v1alpha1.S3Export) { e.Spec.Suspend = false })
		b.stepOf(r)
		if s := b.export().Status; b.pods() != 1 || s.Disruptions != 0 || s.NextAttemptTime != nil {
			t.Errorf("%s: %d movers, the status is %+v", name, b.pods(), s)
		}
	}
}

// hides has a manager see no pods and Jobs, or an export as it was, as a cache does that is behind.
func hides(r *Reconciler, movers bool, old *v1alpha1.S3Export) {
	r.Client = interceptor.NewClient(r.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			switch o := o.(type) {
			case *corev1.Pod, *batchv1.Job:
				if movers {
					return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, key.Name)
				}
			case *v1alpha1.S3Export:
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
	for name, parallelism := range map[string]int32{"a pod": 1, "a Job": 2} {
		b := newBench(t, complete, 0, false)
		b.change(func(e *v1alpha1.S3Export) { e.Spec.Parallelism = parallelism })
		b.idle, b.slow = true, parallelism == 1
		r := b.reconciler(b.manager())
		sees := r.Client
		b.made(r)
		for range 20 {
			if parallelism > 1 && b.jobs() == 0 {
				b.stepOf(r)
			}
		}
		hides(r, true, nil)
		for range 3 {
			b.stepOf(r)
		}
		if s := b.export().Status; b.pods()+b.jobs() != 1 || b.movers != 1 || s.Disruptions != 0 {
			t.Fatalf("%s: %d movers have run, the status is %+v", name, b.movers, s)
		}
		r.Client = sees
		b.stepOf(r)
		before := b.export()
		b.force()
		b.stepOf(r)
		hides(r, false, before)
		for range 3 {
			b.stepOf(r)
		}
		if s := b.export().Status; b.pods()+b.jobs() > 0 || b.movers != 1 || s.Disruptions != 1 {
			t.Errorf("%s: %d movers have run, the status is %+v", name, b.movers, s)
		}
	}
}

// An export that was deleted, whose finalizer somebody removed, takes its mover with it. A cache that shows the one and
// not the other makes no warning.
func TestAGoneExportHasNoWarning(t *testing.T) {
	for name, parallelism := range map[string]int32{"a pod": 1, "a Job": 2} {
		b := newBench(t, complete, 0, false)
		b.change(func(e *v1alpha1.S3Export) { e.Spec.Parallelism = parallelism })
		b.slow = true
		r, told := b.reconciler(b.manager()), events.NewFakeRecorder(10)
		b.made(r)
		b.stepOf(r)
		r.Events = told
		before := b.export()
		must(t, b.client.Delete(t.Context(), before.DeepCopy()))
		b.change(func(e *v1alpha1.S3Export) { e.Finalizers = nil })
		b.force()
		hides(r, false, before)
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		must(t, err)
		if len(told.Events) > 0 {
			t.Errorf("%s: told is %q", name, <-told.Events)
		}
	}
}
