// SPDX-License-Identifier: Apache-2.0

// Package policy makes the S3Exports of S3ExportPolicies: one for each selected claim and tick, under a name
// that follows from both, so that two managers and a restart at the tick make one. It removes those
// that are history. It moves no data and reads no Secret; what an S3Export does is not its business.
//
// Every pass is observe, decide, act. What is decided is pure.
package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
)

// Reconciler drives policies. Its cached client reads what is watched; live reads the API server before
// anything is started.
type Reconciler struct {
	client.Client
	Live   client.Reader
	Events events.EventRecorder
	Now    func() time.Time
	// Uncounted tells of an S3Export whose mover is complete that its status does not say so yet.
	Uncounted func(context.Context, *v1alpha1.S3Export) (bool, error)
}

// refusalDelay is how often a write is tried again that the API server refused; staleDelay is how long a
// cache may take to know what was written.
const (
	refusalDelay = 30 * time.Second
	staleDelay   = time.Second
)

// byOwner is the index of S3Exports by the UID of the policy that owns them.
const byOwner = "policy.owner"

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exportpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exportpolicies/status,verbs=patch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exportpolicies/finalizers,verbs=update
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports,verbs=get;list;watch;create;delete;patch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager watches policies, also those beside each other, their S3Exports, and the labels of claims.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.S3Export{}, byOwner, owner); err != nil {
		return fmt.Errorf("index S3Exports by their policy: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("exportpolicies").
		For(&v1alpha1.S3ExportPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&v1alpha1.S3Export{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return retention.Moved(e.ObjectOld.(*v1alpha1.S3Export), e.ObjectNew.(*v1alpha1.S3Export))
		}})).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(r.policiesBeside),
			builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.S3ExportPolicy{}, handler.EnqueueRequestsFromMapFunc(r.policiesBeside),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register controller of S3ExportPolicies: %w", err)
	}
	return nil
}

func owner(o client.Object) []string {
	ref := metav1.GetControllerOf(o)
	if ref == nil || ref.Kind != "S3ExportPolicy" {
		return nil
	}
	return []string{string(ref.UID)}
}

// policiesBeside are the policies of the namespace of a claim or a policy: any of them may select the claim, or have
// selected it, and two may select the same ones.
func (r *Reconciler) policiesBeside(ctx context.Context, o client.Object) []reconcile.Request {
	var all v1alpha1.S3ExportPolicyList
	if err := r.List(ctx, &all, client.InNamespace(o.GetNamespace())); err != nil {
		log.FromContext(ctx).Error(err, "Cannot list S3ExportPolicies")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(all.Items))
	for i := range all.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
	}
	return requests
}

// Reconcile looks at one policy.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.observe(ctx, request)
	if err != nil || s.Policy == nil || s.Policy.DeletionTimestamp != nil {
		return ctrl.Result{}, err
	}
	d := decide(s)
	log.FromContext(ctx).V(1).Info("Decided", "start", len(d.Start), "end", len(d.End), "prune", len(d.Prune))
	refused, err := r.act(ctx, s, &d)
	switch {
	case errors.Is(err, errStale), apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	if refused {
		d.Recheck = min(d.Recheck, refusalDelay)
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}

func (r *Reconciler) observe(ctx context.Context, request ctrl.Request) (state, error) {
	s := state{Policy: &v1alpha1.S3ExportPolicy{}, Now: r.Now()}
	if err := r.Get(ctx, request.NamespacedName, s.Policy); err != nil {
		return state{}, client.IgnoreNotFound(err)
	}
	var claims corev1.PersistentVolumeClaimList
	if err := r.List(ctx, &claims, client.InNamespace(request.Namespace)); err != nil {
		return state{}, fmt.Errorf("list claims: %w", err)
	}
	var exports v1alpha1.S3ExportList
	mine := client.MatchingFields{byOwner: string(s.Policy.UID)}
	if err := r.List(ctx, &exports, client.InNamespace(request.Namespace), mine); err != nil {
		return state{}, fmt.Errorf("list S3Exports: %w", err)
	}
	var policies v1alpha1.S3ExportPolicyList
	if err := r.List(ctx, &policies, client.InNamespace(request.Namespace)); err != nil {
		return state{}, fmt.Errorf("list S3ExportPolicies: %w", err)
	}
	s.Claims, s.Exports, s.Policies = claims.Items, exports.Items, policies.Items
	err := r.observePrunes(ctx, &s)
	return s, err
}

// errStale: the policy, or an S3Export, was written since the cache saw it.
var errStale = errors.New("observed policy is stale")

// act writes, in the order in which an end in between loses nothing: the status says that a tick was looked at
// only after all its S3Exports are there, but for those that the API server refused.
func (r *Reconciler) act(ctx context.Context, s state, d *decision) (refused bool, err error) {
	if len(d.Start)+len(d.End) > 0 {
		if err := r.unchanged(ctx, s.Policy); err != nil {
			return false, err
		}
	}
	if err := r.end(ctx, d.End); err != nil {
		return false, err
	}
	for _, export := range d.Start {
		switch err := r.Create(ctx, export, client.FieldOwner(v1alpha1.FieldOwner)); {
		case err == nil, apierrors.IsAlreadyExists(err):
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), ctx.Err() != nil:
			return false, fmt.Errorf("create S3Export: %w", err)
		default:
			refused = true
			d.Status.Waiting = append(d.Status.Waiting, export.Spec.ClaimName)
			r.Events.Eventf(s.Policy, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonWriteRefused), "StartExport",
				"The API server did not let the manager create S3Export %s: %v", export.Name, err)
		}
	}
	slices.Sort(d.Status.Waiting)
	if refused {
		reason, text := scheduled(*d)
		ready(d, s, reason, text)
	}
	if err := r.report(ctx, s.Policy, d.Status); err != nil {
		return refused, err
	}
	for _, e := range d.Events {
		r.Events.Eventf(s.Policy, nil, corev1.EventTypeWarning, string(e.Reason), "Schedule", "%s", e.Note)
	}
	if err := r.remove(ctx, d.Prune); err != nil {
		return refused, err
	}
	return refused, r.mark(ctx, s, *d)
}

// unchanged tells that nobody wrote the policy since it was cached: a manager that does not know that a tick was
// looked at would make an S3Export anew that somebody deleted.
func (r *Reconciler) unchanged(ctx context.Context, policy *v1alpha1.S3ExportPolicy) error {
	now := &v1alpha1.S3ExportPolicy{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(policy), now); err != nil {
		if apierrors.IsNotFound(err) {
			return errStale
		}
		return fmt.Errorf("read the policy: %w", err)
	}
	if now.UID != policy.UID || now.ResourceVersion != policy.ResourceVersion {
		return errStale
	}
	return nil
}

// end deletes active S3Exports that others replace. One that is over by now may be the last good backup: the API server
// is asked, also for a mover that is complete and not counted yet, and what is written after its answer is a conflict.
func (r *Reconciler) end(ctx context.Context, exports []*v1alpha1.S3Export) error {
	for _, export := range exports {
		now := &v1alpha1.S3Export{}
		err := r.Live.Get(ctx, client.ObjectKeyFromObject(export), now)
		switch {
		case apierrors.IsNotFound(err), err == nil && now.UID != export.UID:
			continue
		case err != nil:
			return fmt.Errorf("read S3Export %s: %w", export.Name, err)
		case retention.StateOf(now) != retention.Active:
			return errStale
		}
		if complete, err := r.Uncounted(ctx, now); err != nil || complete {
			return errors.Join(err, errStale)
		}
		asRead := client.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion}
		if err := client.IgnoreNotFound(r.Delete(ctx, now, asRead)); err != nil {
			return fmt.Errorf("delete S3Export %s: %w", export.Name, err)
		}
	}
	return nil
}

// remove deletes S3Exports, each by its UID.
func (r *Reconciler) remove(ctx context.Context, exports []*v1alpha1.S3Export) error {
	for _, export := range exports {
		err := r.Delete(ctx, export, client.Preconditions{UID: &export.UID})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete S3Export %s: %w", export.Name, err)
		}
	}
	return nil
}

// report writes the status if it changed; an old view of it is a conflict.
func (r *Reconciler) report(
	ctx context.Context,
	policy *v1alpha1.S3ExportPolicy,
	next v1alpha1.S3ExportPolicyStatus,
) error {
	if equality.Semantic.DeepEqual(policy.Status, next) {
		return nil
	}
	changed := policy.DeepCopy()
	changed.Status = next
	guarded := client.MergeFromWithOptions(policy, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Status().Patch(ctx, changed, guarded)); err != nil {
		return fmt.Errorf("report status: %w", err)
	}
	return nil
}
