// SPDX-License-Identifier: Apache-2.0

package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/movers"
	"github.com/s3populator/s3populator/transfer/retention"
)

// Reconciler removes the objects of exports that are marked. Its cached client reads what is watched; live reads the
// API server before a mover is started.
type Reconciler struct {
	client.Client
	Live    client.Reader
	Events  events.EventRecorder
	Options Options
	Now     func() time.Time
	// told is when what was told, of each mover or export by its UID.
	told sync.Map
}

const staleDelay = time.Second

var errStale = errors.New("observed runs are stale")

// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports,verbs=list;watch;patch;delete
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exportpolicies,verbs=list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager watches exports that are marked, and their movers.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	isMarked := func(o client.Object) bool { return retention.Pruning(o.(*v1alpha1.S3Export)) }
	err := ctrl.NewControllerManagedBy(mgr).Named("prunes").
		For(&v1alpha1.S3Export{}, builder.WithPredicates(predicate.NewPredicateFuncs(isMarked))).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(fromPod)).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register controller of what is removed: %w", err)
	}
	return nil
}

func fromPod(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetAnnotations()[v1alpha1.AnnotationExport]
	if o.GetLabels()[v1alpha1.LabelRole] != v1alpha1.RolePrune || name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// Reconcile looks at one export.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	e := &v1alpha1.S3Export{}
	if err := r.Get(ctx, request.NamespacedName, e); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) //nolint:wrapcheck // The cache has stopped.
	}
	if !retention.Pruning(e) {
		return ctrl.Result{}, nil
	}
	s, err := r.observe(ctx, e)
	if err != nil {
		return ctrl.Result{}, err
	}
	d := decide(s)
	log.FromContext(ctx).V(1).Info("Decided", "action", d.Action, "reason", d.Reason)
	switch err := r.act(ctx, s, d); {
	case errors.Is(err, errStale), apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, err)
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}

func (r *Reconciler) observe(ctx context.Context, e *v1alpha1.S3Export) (state, error) {
	s := state{Now: r.Now(), Export: e}
	var err error
	if s.Mover, err = movers.Read(ctx, r, e.Namespace, moverpod.PruneName(string(e.UID))); err != nil {
		return s, err //nolint:wrapcheck // It names the pod.
	}
	if s.Mover != nil && !isOurs(s.Mover, e) {
		s.Mover = nil // Somebody's; to make ours will tell.
	}
	if s.Policy, err = r.policy(ctx, e); err != nil {
		return s, err
	}
	var all v1alpha1.S3ExportList
	if err := r.List(ctx, &all, client.InNamespace(e.Namespace)); err != nil {
		return s, fmt.Errorf("list S3Exports: %w", err)
	}
	s.Runs = all.Items
	var sources v1alpha1.S3SourceList
	if err := r.List(ctx, &sources); err != nil {
		return s, fmt.Errorf("list S3Sources: %w", err)
	}
	s.Sources = sources.Items
	return s, nil
}

func (r *Reconciler) act(ctx context.Context, s state, d decision) error {
	if d.Action != takeBack { // Of which is told once it is so.
		r.tell(s, d)
	}
	switch d.Action {
	case wait:
	case startMover:
		return r.start(ctx, s, d.Kept)
	case deleteMover:
		return movers.Delete(ctx, r.Client, s.Mover) //nolint:wrapcheck // Reconcile names the action.
	case takeBack:
		return r.takeBack(ctx, s, d)
	case deleteExport:
		err := r.Delete(ctx, s.Export, client.Preconditions{UID: &s.Export.UID})
		return client.IgnoreNotFound(err) //nolint:wrapcheck // As above.
	}
	return nil
}

// tellEvery is how often the same is told: the API server keeps events for an hour.
const tellEvery = time.Hour

// tell says once what became of a mover, to who looks at the export and at its policy, and what lasts again.
func (r *Reconciler) tell(s state, d decision) {
	if d.Reason == "" {
		return
	}
	what := string(s.Export.UID)
	if s.Mover != nil {
		what = string(s.Mover.UID)
	}
	key := what + " " + d.Message
	if at, told := r.told.Load(key); told && s.Now.Sub(at.(time.Time)) < tellEvery {
		return
	}
	r.told.Store(key, s.Now)
	kind := corev1.EventTypeWarning
	if d.Normal {
		kind = corev1.EventTypeNormal
	}
	r.Events.Eventf(s.Export, nil, kind, string(d.Reason), "Prune", "%s", d.Message)
	if policy := policyOf(s.Export); policy != nil {
		r.Events.Eventf(policy, nil, kind, string(d.Reason), "Prune", "%s", d.Message)
	}
}

func policyOf(e *v1alpha1.S3Export) *v1alpha1.S3ExportPolicy {
	ref := retention.PolicyOf(e)
	if ref == nil {
		return nil
	}
	p := &v1alpha1.S3ExportPolicy{}
	p.Namespace, p.Name, p.UID = e.Namespace, ref.Name, ref.UID
	p.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(ref.Kind))
	return p
}

// confirm decides once more on what the API server knows.
func (r *Reconciler) confirm(ctx context.Context, s state, kept []*v1alpha1.S3Export) error {
	var all v1alpha1.S3ExportList
	if err := r.Live.List(ctx, &all, client.InNamespace(s.Export.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	var sources v1alpha1.S3SourceList
	if err := r.Live.List(ctx, &sources); err != nil {
		return fmt.Errorf("list S3Sources: %w", err)
	}
	live := s
	live.Runs, live.Sources, live.Export = all.Items, sources.Items, nil
	for i := range all.Items {
		if all.Items[i].UID == s.Export.UID {
			live.Export = &all.Items[i]
		}
	}
	if live.Export == nil {
		return errStale
	}
	same := func(a, b *v1alpha1.S3Export) bool { return a.UID == b.UID }
	if now := decide(live); now.Action != startMover || !slices.EqualFunc(now.Kept, kept, same) {
		return errStale
	}
	return nil
}

// start makes the mover, if the API server knows the runs as the cache does.
func (r *Reconciler) start(ctx context.Context, s state, kept []*v1alpha1.S3Export) error {
	if err := r.confirm(ctx, s, kept); err != nil {
		return err
	}
	pod, err := moverFor(s.Export, kept, r.Options)
	if err != nil {
		return err
	}
	owned := func(p *corev1.Pod) bool { return isOurs(p, s.Export) }
	err = movers.Clients{Write: r.Client, Live: r.Live}.Create(ctx, pod, "run", owned)
	if err != nil && !movers.Passing(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		r.tell(s, decision{Reason: v1alpha1.ReasonPruneHeld, Message: fmt.Sprintf(
			"Pod %s, which removes what S3Export %s has exported, could not be made: %s", pod.Name, s.Export.Name,
			movers.Words(err))})
	}
	return err //nolint:wrapcheck // Reconcile names the action.
}
