// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"fmt"
	"strconv"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// kubelet ends the pods of an export as a script has it, and sees to it that no shard has two at once.
type kubelet struct {
	world *world
	// ends are the reports of the pods of a shard, in their order; the last one is that of all that follow.
	ends map[int][]wire.Report
	// ran counts the pods of each shard that have ended.
	ran map[int]int
}

func (k *kubelet) play(t *testing.T) {
	t.Helper()
	var pods corev1.PodList
	if err := k.world.List(t.Context(), &pods, client.HasLabels{v1alpha1.LabelExportUID}); err != nil {
		t.Fatal(err)
	}
	live := map[int]int{}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		shard, err := strconv.Atoi(p.Labels[batchv1.JobCompletionIndexAnnotation])
		if err == nil {
			live[shard]++
			if live[shard] > 1 {
				t.Errorf("shard %d has two pods at once", shard)
			}
		}
		if said := k.end(t, p, k.report(t, p, shard)); said && err == nil {
			k.ran[shard]++
		}
	}
}

// report is what a pod says: shards by the script, the others that they have done their part.
func (k *kubelet) report(t *testing.T, p *corev1.Pod, shard int) wire.Report {
	t.Helper()
	request, err := wire.ParseArgs(p.Spec.Containers[0].Args)
	if err != nil {
		t.Fatal(err)
	}
	done := wire.Report{Class: wire.Done, Objects: 4, Bytes: 4}
	switch request.Export.Step {
	case wire.StepPlan:
		done.Plan, done.Shards = "sha256:p", 4
	case wire.StepShard:
		if ends := k.ends[shard]; len(ends) > 0 {
			return ends[min(k.ran[shard], len(ends)-1)]
		}
	case wire.StepFinish:
		done.ManifestDigest = "sha256:x"
	}
	return done
}

// end tells whether the pod could be ended as it was seen.
func (k *kubelet) end(t *testing.T, p *corev1.Pod, r wire.Report) bool {
	t.Helper()
	p.Status.Phase = corev1.PodSucceeded
	if r.Class != wire.Done {
		p.Status.Phase = corev1.PodFailed
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(r.Class.ExitCode()), Message: string(r.Encode()), FinishedAt: metav1.Now(),
		}},
	}}
	err := k.world.Status().Update(t.Context(), p)
	if client.IgnoreNotFound(err) != nil {
		t.Log(err) // It has changed since.
	}
	return err == nil
}

// What a Job of a real cluster makes of what movers say: a shard that fails twice is complete in the end, one that
// got on counts for nothing, and one that only a person can help ends all. The policies that are shipped let the Job be
// made and deleted.
func TestShardsOfARealJob(t *testing.T) {
	w := newWorld(t)
	w.controllers(t, "job-controller,garbage-collector-controller")
	w.pin(t)
	w.bound(t, "data")
	w.exporter(t)
	failing := wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "reset"}
	done := wire.Report{Class: wire.Done, Objects: 1, Bytes: 1}
	t.Run("complete in the end", func(t *testing.T) {
		k := &kubelet{world: w, ran: map[int]int{}, ends: map[int][]wire.Report{
			1: {failing, failing, done},
			2: {{Class: wire.RetryUncounted, Reason: wire.Interrupted, Progressed: true, Message: "SIGTERM"}, done},
		}}
		e := w.shards(t, "complete")
		w.await(t, "the shards to have failed", func() error {
			k.play(t)
			return unless(k.ran[1] >= 2 && k.ran[2] >= 1, fmt.Sprint(k.ran))
		})
		w.await(t, "the export to be complete", func() error {
			k.play(t)
			return w.tells(t, e, v1alpha1.ReasonExported)
		})
		if st := e.Status; st.Attempts != 1 || st.Failures != 0 || st.Shards.Done != 4 || k.ran[1] != 3 || k.ran[2] != 2 ||
			k.ran[0] != 1 || k.ran[3] != 1 {
			t.Errorf("pods have run %v, the status is %+v with shards %+v", k.ran, st, st.Shards)
		}
		w.nothingLeft(t, k)
	})
	t.Run("only a person can help", func(t *testing.T) {
		k := &kubelet{world: w, ran: map[int]int{}, ends: map[int][]wire.Report{
			0: {{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}},
		}}
		e := w.shards(t, "denied")
		w.await(t, "the export to fail", func() error {
			k.play(t)
			return w.tells(t, e, v1alpha1.Reason(wire.AccessDenied))
		})
		if e.Status.Phase != v1alpha1.ExportFailed || k.ran[0] != 1 {
			t.Errorf("pods have run %v, the status is %+v", k.ran, e.Status)
		}
		if err := w.Delete(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		w.nothingLeft(t, k)
	})
}

func (w *world) shards(t *testing.T, name string) *v1alpha1.S3Export {
	t.Helper()
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	e.Spec.ClaimName, e.Spec.Parallelism = "data", 2
	e.Spec.Destination.Region, e.Spec.Destination.Bucket = "x", "backups"
	w.create(t, e)
	return e
}

func (w *world) tells(t *testing.T, e *v1alpha1.S3Export, reason v1alpha1.Reason) error {
	t.Helper()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(e), e); err != nil {
		return err
	}
	c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionComplete)
	return unless(c != nil && c.Reason == string(reason), fmt.Sprintf("the condition is %+v, want %s", c, reason))
}

// nothingLeft waits until neither pods nor Jobs of exports are there.
func (w *world) nothingLeft(t *testing.T, k *kubelet) {
	t.Helper()
	w.await(t, "pods and Jobs to go", func() error {
		k.play(t)
		var pods corev1.PodList
		var jobs batchv1.JobList
		if err := w.List(t.Context(), &pods, client.InNamespace("default")); err != nil {
			return err
		}
		if err := w.List(t.Context(), &jobs, client.InNamespace("default")); err != nil {
			return err
		}
		left := fmt.Sprintf("%d pods, %d Jobs", len(pods.Items), len(jobs.Items))
		return unless(len(pods.Items)+len(jobs.Items) == 0, left)
	})
}
