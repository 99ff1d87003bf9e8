// SPDX-License-Identifier: Apache-2.0

// Package imports loads objects of an S3Source into a claim that exists, for an S3Import that a user has made or that
// a token on a claim has asked for. A mover pod in the claim's namespace does it: the manager needs no Secret.
// S3Imports that show how a claim is filled are not looked at.
package imports

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	"github.com/s3populator/s3populator/transfer/imports/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// Indexes of S3Imports by the names of their claim and of their source.
const (
	indexClaim  = "imports.claimName"
	indexSource = "imports.sourceName"
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
	// Workers is how many imports are looked at at once.
	Workers int
	// Now is the clock.
	Now func() time.Time
}

func (o Options) mover() protocol.Options {
	return protocol.Options{
		Image: o.Image, Defaults: o.Defaults, ProgressURL: o.ProgressURL, ProgressCA: string(o.ProgressCA()),
	}
}

// Reconciler drives imports. Its cached client reads what is watched; live reads claims, and the pods
// of others, which are not.
type Reconciler struct {
	client.Client
	Live    client.Reader
	Events  events.EventRecorder
	Options Options
	// Places keeps movers waiting that are too many.
	Places places.Office

	seen  movers.Sightings
	turns turns
}

// +kubebuilder:rbac:groups=s3populator.io,resources=s3imports,verbs=list;watch;delete
// +kubebuilder:rbac:groups=s3populator.io,resources=s3imports/status,verbs=patch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3imports/finalizers,verbs=update

// SetupWithManager watches imports, their pods, and the claims and sources that they name.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	for index, name := range map[string]func(*v1alpha1.S3Import) string{
		indexClaim:  func(i *v1alpha1.S3Import) string { return i.Spec.ClaimName },
		indexSource: func(i *v1alpha1.S3Import) string { return i.Spec.SourceName },
	} {
		err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.S3Import{}, index, func(o client.Object) []string {
			return names(o, name)
		})
		if err != nil {
			return fmt.Errorf("index imports: %w", err)
		}
	}
	asked := predicate.NewPredicateFuncs(func(o client.Object) bool { return !o.(*v1alpha1.S3Import).IsRecord() })
	err := ctrl.NewControllerManagedBy(mgr).Named("import").
		For(&v1alpha1.S3Import{}, builder.WithPredicates(asked)).
		Watches(
			&corev1.Pod{},
			handler.EnqueueRequestsFromMapFunc(r.shown),
			builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool { return fromPod(ctx, o) != nil })),
		).
		Watches(
			&corev1.Pod{},
			handler.EnqueueRequestsFromMapFunc(r.Places.Waiting(v1alpha1.RoleImport)),
			builder.WithPredicates(r.Places.Freed()),
		).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(r.from(indexClaim))).
		Watches(
			&v1alpha1.S3Source{},
			handler.EnqueueRequestsFromMapFunc(r.from(indexSource)),
			builder.WithPredicates(predicate.GenerationChangedPredicate{}),
		).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Workers}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register import controller: %w", err)
	}
	return nil
}

// names leaves records out: a claim and a source have nothing to tell those.
func names(o client.Object, name func(*v1alpha1.S3Import) string) []string {
	i, ok := o.(*v1alpha1.S3Import)
	if !ok || i.IsRecord() {
		return nil
	}
	return []string{name(i)}
}

func fromPod(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetAnnotations()[v1alpha1.AnnotationImport]
	if o.GetLabels()[v1alpha1.LabelImportUID] == "" || name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// shown wakes the import of a mover, and remembers that: it may end and be gone before its import is looked at.
func (r *Reconciler) shown(ctx context.Context, o client.Object) []reconcile.Request {
	requests := fromPod(ctx, o)
	if pod, ok := o.(*corev1.Pod); ok {
		for _, request := range requests {
			r.seen.NoteShown(request.NamespacedName, pod)
		}
	}
	return requests
}

// from wakes the imports that name a claim or a source. It lists from the cache, which fails only when the manager
// stops.
func (r *Reconciler) from(index string) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		var found v1alpha1.S3ImportList
		err := r.List(ctx, &found, client.InNamespace(o.GetNamespace()), client.MatchingFields{index: o.GetName()})
		if err != nil {
			return nil
		}
		var all []reconcile.Request
		for n := range found.Items {
			// The pod of one that is over may keep a claim that is being deleted.
			if !protocol.Over(&found.Items[n]) || o.GetDeletionTimestamp() != nil {
				all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&found.Items[n])})
			}
		}
		return all
	}
}

// Reconcile looks at one import and makes at most one step.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.observe(ctx, request.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	if s.Import == nil {
		r.seen.Forget(request.NamespacedName)
		r.turns.leave(request.NamespacedName)
		r.Places.Leave(v1alpha1.RoleImport, request.NamespacedName)
		return ctrl.Result{}, nil
	}
	if s.Queued, err = r.turn(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	wish := protocol.Decide(s, r.Options.Defaults)
	log.FromContext(ctx).V(1).Info("Decided", "action", wish.Action, "reason", wish.Reason)
	d, err := r.act(ctx, s, wish)
	stale := apierrors.IsConflict(err) || errors.Is(err, errStale)
	if err != nil && !stale || d.Action != wish.Action {
		r.Places.Release(s.Import.UID) // What was to take the place does not exist.
	}
	if err == nil {
		err = r.report(ctx, s, d)
	}
	switch {
	case stale, apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: time.Second}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, err)
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}
