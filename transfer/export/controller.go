// SPDX-License-Identifier: Apache-2.0

// Package export sends what is on the volume of a claim to S3, for an S3Export. A mover pod in the
// claim's namespace does it: the manager needs no Secret. Nothing here writes to a volume or a claim.
package export

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// indexClaim finds the exports of a claim, indexPlace those of one place in S3.
const (
	indexClaim = "spec.claimName"
	indexPlace = "place"
)

// Options are what an administrator decides.
type Options struct {
	// Image of the mover pods.
	Image moverpod.Image
	// Defaults of mover pods.
	Defaults moverpod.Defaults
	// ProgressURL is where movers send progress, without a path; empty turns it off.
	ProgressURL string
	// ProgressCA returns the PEM that signed the progress endpoint's certificate.
	ProgressCA func() []byte
	// Workers is how many exports are looked at at once.
	Workers int
	// Now is the clock.
	Now func() time.Time
}

func (o Options) mover() protocol.Options {
	return protocol.Options{
		Image: o.Image, Defaults: o.Defaults, ProgressURL: o.ProgressURL, ProgressCA: string(o.ProgressCA()),
	}
}

// Reconciler drives exports. Its cached client reads what is watched; live reads claims, and the pods
// of others, which are not.
type Reconciler struct {
	client.Client
	Live    client.Reader
	Events  events.EventRecorder
	Options Options
	// Places keeps movers waiting that are too many.
	Places places.Office
	// Started is when this manager began.
	Started time.Time

	seen sightings
	// begins is for runs in places that others may have.
	begins begins
}

// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports,verbs=list;watch;patch;delete
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports/status,verbs=patch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports/finalizers,verbs=update

// SetupWithManager watches exports, their pods, and the claims that they name.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.S3Export{}, indexClaim, func(o client.Object) []string {
		return []string{o.(*v1alpha1.S3Export).Spec.ClaimName}
	})
	if err != nil {
		return fmt.Errorf("index exports by claim: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.S3Export{}, indexPlace, place); err != nil {
		return fmt.Errorf("index exports by place: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).Named("export").
		For(&v1alpha1.S3Export{}).
		Watches(
			&corev1.Pod{},
			handler.EnqueueRequestsFromMapFunc(fromPod),
			builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool { return fromPod(ctx, o) != nil })),
		).
		Watches(&batchv1.Job{}, handler.EnqueueRequestsFromMapFunc(fromPod)).
		Watches(
			&corev1.Pod{},
			handler.EnqueueRequestsFromMapFunc(r.Places.Waiting(v1alpha1.RoleExport)),
			builder.WithPredicates(r.Places.Freed()),
		).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(r.fromClaim)).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(fromTemporary)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Workers}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register export controller: %w", err)
	}
	return nil
}

func place(o client.Object) []string {
	if p := protocol.PlaceOf(o.(*v1alpha1.S3Export)); p != "" {
		return []string{p}
	}
	return nil
}

// fromPod is for both kinds of our pods, one of which has no owner, and for Jobs.
func fromPod(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetAnnotations()[v1alpha1.AnnotationExport]
	if o.GetLabels()[v1alpha1.LabelExportUID] == "" || name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// fromTemporary is for claims that exports made to read from.
func fromTemporary(_ context.Context, o client.Object) []reconcile.Request {
	owner := metav1.GetControllerOf(o)
	if _, ok := protocol.IsTemporary(o.GetLabels()); !ok || owner == nil || owner.Kind != v1alpha1.KindS3Export {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}}}
}

// fromClaim lists from the cache, which fails only when the manager stops.
func (r *Reconciler) fromClaim(ctx context.Context, o client.Object) []reconcile.Request {
	var found v1alpha1.S3ExportList
	err := r.List(ctx, &found, client.InNamespace(o.GetNamespace()), client.MatchingFields{indexClaim: o.GetName()})
	if err != nil {
		return nil
	}
	var all []reconcile.Request
	for i := range found.Items {
		// The pod of one that is over may keep a claim that is being deleted.
		if !protocol.Over(&found.Items[i]) || o.GetDeletionTimestamp() != nil {
			all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&found.Items[i])})
		}
	}
	return all
}

// Reconcile looks at one export and makes at most one step.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.observe(ctx, request.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	if s.Export == nil {
		r.seen.forget(request.NamespacedName)
		r.Places.Leave(v1alpha1.RoleExport, request.NamespacedName)
		return ctrl.Result{}, r.sweep(ctx, request.NamespacedName)
	}
	if s.Queued, err = r.turn(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	wish := protocol.Decide(s, r.Options.Defaults)
	log.FromContext(ctx).V(1).Info("Decided", "action", wish.Action, "reason", wish.Reason)
	d, err := r.act(ctx, s, wish)
	if err != nil && !apierrors.IsConflict(err) || d.Action != wish.Action {
		r.Places.Release(s.Export.UID) // What was to take the place does not exist.
	}
	if err == nil {
		err = r.report(ctx, s, d)
	}
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: time.Second}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, err)
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}
