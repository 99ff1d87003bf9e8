// SPDX-License-Identifier: Apache-2.0

// Package claimsources makes the S3Source of a claim that names its source by annotations:
// one for each such claim, owned by it, so that it goes when the claim goes. It never touches
// a source that it did not make for that very claim, and never one whose claim is bound.
package claimsources

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// Reconciler keeps the sources of annotated claims.
type Reconciler struct {
	client.Client
	Events events.EventRecorder
}

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources,verbs=list;watch;create;update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager watches annotated claims and the sources made from them.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("claimsources").
		For(&corev1.PersistentVolumeClaim{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return wanted(o.(*corev1.PersistentVolumeClaim))
		}))).
		Owns(&v1alpha1.S3Source{}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register controller of annotated claims: %w", err)
	}
	return nil
}

// wanted tells whether a claim is one that a source may have to be made for.
func wanted(claim *corev1.PersistentVolumeClaim) bool {
	return annotated.Asked(claim) && annotated.Ours(claim)
}

// refusalDelay is how often a refused write is tried again: nothing tells that it would
// succeed now.
const refusalDelay = 30 * time.Second

// Reconcile looks at one claim and writes at most one object.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := r.Get(ctx, request.NamespacedName, claim); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !wanted(claim) {
		return ctrl.Result{}, nil
	}
	existing := &v1alpha1.S3Source{}
	err := r.Get(ctx, types.NamespacedName{Namespace: claim.Namespace, Name: claim.Spec.DataSourceRef.Name}, existing)
	if apierrors.IsNotFound(err) {
		existing, err = nil, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read S3Source: %w", err)
	}
	d := decide(claim, existing)
	if d.Note != "" {
		r.Events.Eventf(claim, nil, corev1.EventTypeWarning, string(d.Reason), "MakeSource", "%s", d.Note)
	}
	switch err := r.act(ctx, d); {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err): // The cache is behind; look again when it is not.
		return ctrl.Result{RequeueAfter: collection}, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return ctrl.Result{}, nil
	case ctx.Err() != nil: // This replica ends; nobody refused anything.
		return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, ctx.Err())
	case err != nil:
		log.FromContext(ctx).Info("Write failed, trying again later", "write", d.Action, "error", err.Error())
		r.Events.Eventf(
			claim,
			nil,
			corev1.EventTypeWarning,
			string(v1alpha1.ReasonWriteRefused),
			"MakeSource",
			"The API server did not let the manager write S3Source %s, which is made from the claim's annotations: %v",
			claim.Spec.DataSourceRef.Name,
			err,
		)
		return ctrl.Result{RequeueAfter: refusalDelay}, nil
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}

// act makes the one write.
func (r *Reconciler) act(ctx context.Context, d decision) error {
	switch d.Action {
	case create:
		return r.Create(ctx, d.Source, client.FieldOwner(v1alpha1.FieldOwner))
	case update:
		return r.Update(ctx, d.Source, client.FieldOwner(v1alpha1.FieldOwner))
	case wait:
	}
	return nil
}
