// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=list;watch;create;delete

// job reads the Job of a run and its pods, from the cache, where no other mover of the run is there.
func (r *Reconciler) job(ctx context.Context, s *protocol.State) error {
	e := s.Export
	if s.Mover != nil || !protocol.Parted(e) {
		return nil
	}
	job := &batchv1.Job{}
	name := types.NamespacedName{Namespace: e.Namespace, Name: moverpod.ExportName(string(e.UID))}
	switch err := r.Get(ctx, name, job); {
	case err == nil:
		s.Job = job
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read Job: %w", err)
	}
	var pods corev1.PodList
	err := r.List(ctx, &pods, client.InNamespace(e.Namespace), client.MatchingLabels{
		v1alpha1.LabelExportUID: string(e.UID), batchv1.JobNameLabel: name.Name,
	})
	if err != nil {
		return fmt.Errorf("list pods of the Job: %w", err)
	}
	s.Pods = pods.Items
	s.Mover = protocol.MoverOfJob(s.Job, s.Pods, e.Status)
	if s.Job != nil || s.Mover == nil {
		return nil
	}
	// Pods and Jobs come by two watches: what looks like pods whose Job is gone may be those of one that is new.
	if s.Job, err = r.liveJob(ctx, name); err != nil {
		return fmt.Errorf("ask for the Job of pods: %w", err)
	}
	s.Mover = protocol.MoverOfJob(s.Job, s.Pods, e.Status)
	return nil
}

// liveJob is what the API server has under the name; nil is nothing.
func (r *Reconciler) liveJob(ctx context.Context, name types.NamespacedName) (*batchv1.Job, error) {
	var there batchv1.JobList
	err := r.Live.List(ctx, &there, client.InNamespace(name.Namespace),
		client.MatchingFields{metav1.ObjectNameField: name.Name})
	if err != nil || len(there.Items) == 0 {
		return nil, err //nolint:wrapcheck // The caller reads the API server's status.
	}
	return &there.Items[0], nil
}

// createJob makes a Job, and proves that our watch shows it. One that is there already is asked for live.
func (r *Reconciler) createJob(ctx context.Context, e *v1alpha1.S3Export, job *batchv1.Job) error {
	err := r.Create(ctx, job)
	if apierrors.IsAlreadyExists(err) {
		there, err := r.liveJob(ctx, client.ObjectKeyFromObject(job))
		if err != nil || there == nil {
			return err
		}
		job = there
	} else if err != nil {
		return err //nolint:wrapcheck // As above.
	}
	if owner := metav1.GetControllerOf(job); owner == nil || owner.UID != e.UID ||
		job.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		return &movers.UnusableError{Reason: v1alpha1.ReasonMoverRefused, Message: fmt.Sprintf(
			"A Job named %s exists that was not made for this export, or whose labels were changed by an admission policy or "+
				"webhook. Exempt objects with label %s from that policy, then `kubectl delete job %s`; the export then goes on.",
			job.Name, v1alpha1.LabelManagedBy, job.Name)}
	}
	return nil
}

// deleteMover ends a mover; of a Job it waits for the pods, and those whose Job is gone it ends each by itself.
func (r *Reconciler) deleteMover(ctx context.Context, s protocol.State) error {
	strays := s.Strays()
	for i := range strays {
		if err := movers.Delete(ctx, r.Client, &strays[i]); err != nil {
			return err //nolint:wrapcheck // Reconcile names the action.
		}
	}
	if len(strays) > 0 {
		return nil
	}
	if s.Job == nil {
		return movers.Delete(ctx, r.Client, s.Mover)
	}
	err := r.Delete(ctx, s.Job, client.Preconditions{UID: &s.Job.UID},
		client.PropagationPolicy(metav1.DeletePropagationForeground))
	return client.IgnoreNotFound(err) //nolint:wrapcheck // Reconcile names the action.
}

// startMover makes the pod or the Job of the step that is due.
func (r *Reconciler) startMover(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	if protocol.StepOf(s.Export) != v1alpha1.ExportShard {
		pod, err := protocol.Mover(s, r.Options.mover())
		if err != nil {
			return d, err //nolint:wrapcheck // Reconcile names the action.
		}
		err = r.create(ctx, s.Export, pod)
		if !needsNoTurn(s) {
			r.begins.answered(s.Export, err, r.Options.Now())
		}
		d.Attempt = attempts.Of(pod) // It may have been there: the cache of pods may be older than that of exports.
		r.seen.noteMade(&s, pod, err)
		return refused(s, d, "pod "+pod.Name, err)
	}
	job, err := protocol.Job(s, r.Options.mover())
	if err != nil {
		return d, err //nolint:wrapcheck // Reconcile names the action.
	}
	err = r.createJob(ctx, s.Export, job)
	r.seen.noteMade(&s, protocol.MoverOfJob(job, nil, s.Export.Status), err)
	return refused(s, d, "Job "+job.Name, err)
}
