// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// reportOf is what a mover says, by the step that it was told.
func (b *bench) reportOf(pod *corev1.Pod) wire.Report {
	b.t.Helper()
	if pod.Labels[v1alpha1.LabelRole] != v1alpha1.RoleExport {
		return wire.Report{}
	}
	request, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
	if err != nil {
		b.t.Fatal(err)
	}
	b.steps = append(b.steps, request.Export.Step)
	if request.Export.Step == wire.StepPlan {
		return wire.Report{Class: wire.Done, Plan: "sha256:p", Shards: 8, Objects: 3, Bytes: 7}
	}
	return b.report
}

// jobController ends every Job that is new.
func (b *bench) jobController() {
	b.t.Helper()
	var jobs batchv1.JobList
	if err := b.client.List(b.t.Context(), &jobs); err != nil {
		b.t.Fatal(err)
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if len(job.Status.Conditions) > 0 {
			continue
		}
		request, err := wire.ParseArgs(job.Spec.Template.Spec.Containers[0].Args)
		if err != nil || request.Export.Plan != "sha256:p" || *job.Spec.Completions != 8 {
			b.t.Fatalf("the Job is %+v, and its pods are told %+v (%v)", job.Spec, request.Export, err)
		}
		b.steps = append(b.steps, request.Export.Step)
		kind := batchv1.JobComplete
		if b.jobFails {
			kind = batchv1.JobFailed
		}
		b.open = b.jobFails
		job.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Message: "x"}}
		if err := b.client.Status().Update(b.t.Context(), job); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) jobs() int {
	b.t.Helper()
	var jobs batchv1.JobList
	if err := b.client.List(b.t.Context(), &jobs); err != nil {
		b.t.Fatal(err)
	}
	return len(jobs.Items)
}

func newShardedBench(t *testing.T, killAt int, after bool) *bench {
	t.Helper()
	b := newBench(t, wire.Report{Class: wire.Done, Objects: 3, Bytes: 7, ManifestDigest: "sha256:x"}, killAt, after)
	e := b.export()
	e.Spec.Parallelism = 2
	if err := b.client.Update(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return b
}

// A manager that is killed before or after any of its writes is followed by one that brings a run with shards to the
// same end, and does no step twice: one plan, one Job, one end.
func TestShardsKilledAtEveryWrite(t *testing.T) {
	for killAt := range 24 {
		for _, after := range []bool{false, true} {
			b := newShardedBench(t, killAt, after)
			b.settle()
			e := b.export()
			if e.Status.Phase != v1alpha1.ExportSucceeded || protocol.Guarded(e) || b.pods() > 0 || b.jobs() > 0 {
				t.Errorf("killed at write %d (after it: %v): %+v, finalizers %v, %d pods, %d Jobs",
					killAt, after, e.Status, e.Finalizers, b.pods(), b.jobs())
			}
			want := []wire.Step{wire.StepPlan, wire.StepShard, wire.StepFinish}
			if !slices.Equal(b.steps, want) || e.Status.Attempts != 1 {
				t.Errorf("killed at write %d (after it: %v): the steps were %v in %d attempts, want %v",
					killAt, after, b.steps, e.Status.Attempts, want)
			}
			if killAt > 0 && b.writes < killAt {
				return // There are no more writes.
			}
		}
	}
	t.Error("there are more writes than were tried")
}

// A Job that fails is an attempt that failed: the run is over, and its uploads are ended.
func TestShardsThatFailKilledAtEveryWrite(t *testing.T) {
	for killAt := range 20 {
		for _, after := range []bool{false, true} {
			b := newShardedBench(t, killAt, after)
			b.jobFails = true
			b.settle()
			if e := b.export(); e.Status.Phase != v1alpha1.ExportFailed || protocol.Guarded(e) || b.open || b.aborts != 1 ||
				e.Status.Attempts != 1 || b.jobs() != 1 { // It stays, for the logs of its pods.
				t.Errorf("killed at write %d (after it: %v): %+v, finalizers %v, open uploads: %v, %d ended, %d Jobs",
					killAt, after, e.Status, e.Finalizers, b.open, b.aborts, b.jobs())
			}
		}
	}
}

// An export that is deleted at any moment of its life leaves neither pods nor Jobs nor uploads.
func TestShardsDeletedAtEveryMoment(t *testing.T) {
	for moment := range 14 {
		for killAt := range 14 {
			b := newShardedBench(t, killAt, killAt%2 == 0)
			b.jobFails = killAt%3 == 0
			for range moment {
				b.step()
			}
			if e := b.export(); e != nil {
				if err := b.client.Delete(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			b.settle()
			b.collectGarbage()
			if b.export() != nil || b.pods() > 0 || b.jobs() > 0 || b.open {
				t.Errorf("deleted after %d passes, killed at write %d: %+v, %d pods, %d Jobs, open uploads: %v",
					moment, killAt, b.export(), b.pods(), b.jobs(), b.open)
			}
		}
	}
}

// A run that is suspended while its Job runs goes on with another plan: the volume was in use meanwhile.
func TestShardsThatAreSuspended(t *testing.T) {
	b := newShardedBench(t, 0, false)
	b.idle = true
	for range 12 {
		b.step()
	}
	if b.jobs() != 1 {
		t.Fatalf("there is no Job: %+v", b.export().Status)
	}
	suspend := func(is bool) {
		e := b.export()
		e.Spec.Suspend = is
		if err := b.client.Update(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	suspend(true)
	b.settle()
	if e := b.export(); b.jobs() > 0 || e.Status.Phase != v1alpha1.ExportSuspended || e.Status.Failures > 0 {
		t.Errorf("%d Jobs, status %+v", b.jobs(), e.Status)
	}
	suspend(false)
	b.idle = false
	b.settle()
	want := []wire.Step{wire.StepPlan, wire.StepPlan, wire.StepShard, wire.StepFinish}
	if e := b.export(); e.Status.Phase != v1alpha1.ExportSucceeded || !slices.Equal(b.steps, want) {
		t.Errorf("the steps were %v, status %+v", b.steps, e.Status)
	}
}
