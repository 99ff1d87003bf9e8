// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/retention"
)

// TestPruneData: the objects of runs that need not be kept go one run after the other, each after it stopped counting
// as complete, and its S3Export after them. Nobody but the manager says which.
func TestPruneData(t *testing.T) {
	w := newWorld(t)
	w.pin(t)
	w.create(t, claim("a", nil))
	p := hourly()
	p.Spec.Keep, p.Spec.PruneData = 1, true
	w.create(t, p)
	w.clock.Store(p.CreationTimestamp.Unix()) // Ticks before it do not count, and an hour may have begun since.
	w.manager(t)
	w.manager(t)
	for n := 1; n <= 3; n++ {
		w.clock.Store(w.now().Truncate(time.Hour).Add(time.Hour).Unix())
		w.annotate(t, "a", "labels", fmt.Sprintf(`{"wake":"%d"}`, n))
		var active v1alpha1.S3Export
		w.await(t, "a run", func() error {
			for _, e := range w.exports(t, "a") {
				if retention.StateOf(&e) == retention.Active {
					active = e
					return nil
				}
			}
			return fmt.Errorf("there is none")
		})
		active.Status.Prefix = "default/a/" + string(active.UID) + "/"
		active.Status.ClaimUID = active.Labels[v1alpha1.LabelClaimUID]
		w.end(t, active, v1alpha1.ConditionComplete)
	}
	w.await(t, "the objects of older runs to go", func() error {
		w.endPruners(t)
		return w.count(t, "a", 1)()
	})
	left := w.exports(t, "a")[0]
	if retention.Pruning(&left) || retention.StateOf(&left) != retention.Complete {
		t.Errorf("left is %+v", left)
	}
	marked := left.DeepCopy()
	marked.Annotations = map[string]string{v1alpha1.AnnotationPruning: retention.Mark(&left, w.now())}
	err := w.Patch(t.Context(), marked, client.MergeFrom(&left))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "only S3 volume populator writes it") {
		t.Errorf("the last run is marked by hand: %v", err)
	}
}

// endPruners ends each mover as one that is done, and takes those whose export is gone, as garbage collection does.
func (w *world) endPruners(t *testing.T) {
	t.Helper()
	var pods corev1.PodList
	if err := w.List(t.Context(), &pods, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	active := 0
	for i := range pods.Items {
		pod := &pods.Items[i]
		owner := metav1.GetControllerOf(pod)
		e := &v1alpha1.S3Export{}
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: owner.Name}, e); err != nil {
			_ = w.Delete(t.Context(), pod, client.GracePeriodSeconds(0))
			continue
		}
		if !retention.Pruning(e) || pod.Name != moverpod.PruneName(string(e.UID)) {
			t.Errorf("pod %s removes objects of a run that counts as complete", pod.Name)
		}
		if _, over := moverpod.Ending(pod); over {
			continue
		}
		active++
		if active > 1 {
			t.Error("two movers remove objects at once")
		}
		report := wire.Report{Class: wire.Done, Message: "removed 3 objects"}
		pod.Status.Phase = corev1.PodSucceeded
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name:  moverpod.ContainerName,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(report.Encode())}},
		}}
		if err := w.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
}
