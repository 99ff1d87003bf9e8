// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// withoutJobs is a pass of a manager whose watch of Jobs is behind.
func (b *bench) withoutJobs() {
	b.t.Helper()
	late := interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, k client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			if _, isJob := o.(*batchv1.Job); isJob {
				return apierrors.NewNotFound(batchv1.Resource("jobs"), k.Name)
			}
			return c.Get(ctx, k, o, opts...)
		},
	})
	if _, err := b.reconciler(late).Reconcile(b.t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		b.t.Fatal(err)
	}
}

// podOfJob is one that the Job controller has made.
func (b *bench) podOfJob(job *batchv1.Job, name string) *corev1.Pod {
	b.t.Helper()
	pod := &corev1.Pod{ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy()}
	pod.Name, pod.Namespace, pod.UID = name, job.Namespace, types.UID(name)
	pod.Labels[batchv1.JobNameLabel], pod.Labels[batchv1.ControllerUidLabel] = job.Name, string(job.UID)
	owner := metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))
	pod.OwnerReferences = []metav1.OwnerReference{*owner}
	pod.Status.Phase = corev1.PodRunning
	if err := b.client.Create(b.t.Context(), pod); err != nil {
		b.t.Fatal(err)
	}
	return pod
}

// theJob waits for the Job of the run, which does not end by itself.
func (b *bench) theJob() *batchv1.Job {
	b.t.Helper()
	b.idle = true
	for range 12 {
		b.step()
	}
	job := &batchv1.Job{}
	name := client.ObjectKey{Namespace: key.Namespace, Name: moverpod.ExportName("e-1")}
	if err := b.client.Get(b.t.Context(), name, job); err != nil {
		b.t.Fatalf("%v, the export is %+v", err, b.export().Status)
	}
	return job
}

// Pods are seen before their Job. That makes them no pods of a Job that somebody has deleted.
func TestPodsAreSeenBeforeTheirJob(t *testing.T) {
	b := newShardedBench(t, 0, false)
	pod := b.podOfJob(b.theJob(), "export-e-1-0-x")
	b.withoutJobs()
	if st := b.export().Status; st.Disruptions > 0 || st.Shards.Step != v1alpha1.ExportShard {
		t.Errorf("the status is %+v with shards %+v", st, st.Shards)
	}
	if err := b.client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.idle = false
	b.settle()
	want := []wire.Step{wire.StepPlan, wire.StepShard, wire.StepFinish}
	if e := b.export(); e.Status.Phase != v1alpha1.ExportSucceeded || e.Status.ManifestDigest == "" ||
		!slices.Equal(b.steps, want) {
		t.Errorf("the steps were %v, status %+v", b.steps, e.Status)
	}
}

// A Job that ends when another step is due completes nothing: the manifest is written by the steps that follow.
func TestAJobOfAnotherStepCompletesNothing(t *testing.T) {
	for _, step := range []v1alpha1.ExportStep{v1alpha1.ExportPlan, v1alpha1.ExportFinish} {
		b := newShardedBench(t, 0, false)
		b.theJob()
		e := b.export()
		e.Status.Shards.Step = step
		if err := b.client.Status().Update(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		b.idle = false
		b.jobController()
		b.settle()
		e = b.export()
		if e.Status.Phase != v1alpha1.ExportSucceeded || e.Status.ManifestDigest != "sha256:x" ||
			b.steps[len(b.steps)-1] != wire.StepFinish {
			t.Errorf("%s was due: the steps were %v, status %+v", step, b.steps, e.Status)
		}
	}
}

// Pods whose Job was deleted without them are ended, and the run goes on when they are gone.
func TestPodsWhoseJobIsGoneAreEnded(t *testing.T) {
	b := newShardedBench(t, 0, false)
	job := b.theJob()
	for _, name := range []string{"export-e-1-0-x", "export-e-1-1-x"} {
		b.podOfJob(job, name)
	}
	if err := b.client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.idle = false
	b.settle()
	e := b.export()
	if e.Status.Phase != v1alpha1.ExportSucceeded || e.Status.Attempts != 2 || b.pods() > 0 || b.jobs() > 0 {
		t.Errorf("%d pods, %d Jobs, the steps were %v, status %+v", b.pods(), b.jobs(), b.steps, e.Status)
	}
}
