// SPDX-License-Identifier: Apache-2.0

// Package claims makes the S3Exports and S3Imports that the annotations of a claim ask for, and tells on every claim
// how its exports ended, whoever made them. A token is one export and a tick is one, also with two managers and after a
// restart: names follow from them, and the claim notes the last one. It moves no data and reads no Secret.
//
// Every pass is observe, decide, act, report. What is decided is pure.
package claims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/retention"
)

// Reconciler drives claims. Its cached client reads what is watched; live reads the API server before an
// export is made.
type Reconciler struct {
	client.Client
	Live   client.Reader
	Events events.EventRecorder
	Now    func() time.Time

	// made is the UID of the run that was made last for each claim, by the name of that, until a token is noted.
	made sync.Map
}

// refusalDelay is how often a write is tried again that the API server refused; staleDelay is how long a cache
// may take to know what was written.
const (
	refusalDelay = 30 * time.Second
	staleDelay   = time.Second
)

// byClaim is the index of S3Exports, and of S3Imports, by the name of their claim.
const byClaim = "claims.claimName"

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims/finalizers,verbs=update
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports;s3imports,verbs=list;watch;create;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager watches annotated claims, the S3Exports of all, and the S3Imports of tokens.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.S3Export{}, byClaim, claimName); err != nil {
		return fmt.Errorf("index S3Exports by their claim: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.S3Import{}, byClaim, importClaimName); err != nil {
		return fmt.Errorf("index S3Imports by their claim: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("exportedclaims").
		For(&corev1.PersistentVolumeClaim{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			claim := o.(*corev1.PersistentVolumeClaim)
			return annotated.ExportMentioned(claim) || annotated.ImportMentioned(claim) || condition(claim).Type != ""
		}))).
		Watches(&v1alpha1.S3Export{}, handler.EnqueueRequestsFromMapFunc(
			func(_ context.Context, o client.Object) []reconcile.Request {
				claim := types.NamespacedName{Namespace: o.GetNamespace(), Name: o.(*v1alpha1.S3Export).Spec.ClaimName}
				return []reconcile.Request{{NamespacedName: claim}}
			}), builder.WithPredicates(predicate.Funcs{UpdateFunc: concerns})).
		Watches(&v1alpha1.S3Import{}, handler.EnqueueRequestsFromMapFunc(fromImport),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: importEnded})).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register controller of exported claims: %w", err)
	}
	return nil
}

// concerns tells that a claim has to do with a change of its export: how far that is while it runs is not told there.
func concerns(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*v1alpha1.S3Export), e.ObjectNew.(*v1alpha1.S3Export)
	return retention.Moved(before, after) || keeps(before) != keeps(after)
}

// fromImport is for those of tokens: nobody else's are made or removed here.
func fromImport(_ context.Context, o client.Object) []reconcile.Request {
	if o.GetLabels()[v1alpha1.LabelRole] != v1alpha1.RoleImport {
		return nil
	}
	claim := types.NamespacedName{Namespace: o.GetNamespace(), Name: o.(*v1alpha1.S3Import).Spec.ClaimName}
	return []reconcile.Request{{NamespacedName: claim}}
}

// importEnded tells that an import has: only that makes one of the others history.
func importEnded(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*v1alpha1.S3Import), e.ObjectNew.(*v1alpha1.S3Import)
	return retention.RunOfImport(before).State != retention.RunOfImport(after).State
}

func importClaimName(o client.Object) []string {
	return []string{o.(*v1alpha1.S3Import).Spec.ClaimName}
}

func claimName(o client.Object) []string { return []string{o.(*v1alpha1.S3Export).Spec.ClaimName} }

// Reconcile looks at one claim and writes at most one object, or the condition.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.observe(ctx, request)
	if err != nil || s.Claim == nil {
		return ctrl.Result{}, err
	}
	d, errs := decide(s)
	log.FromContext(ctx).V(1).Info("Decided", "action", d.Action)
	switch err := r.act(ctx, s, d); {
	case errors.Is(err, errStale), apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	case apierrors.IsAlreadyExists(err): // The cache will show it, unless it is somebody else's.
		return ctrl.Result{RequeueAfter: refusalDelay}, r.tellForeign(ctx, s, d)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	case ctx.Err() != nil: // This replica ends; nobody refused anything.
		return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, ctx.Err())
	case err != nil:
		log.FromContext(ctx).Info("Write failed, trying again later", "write", d.Action, "error", err.Error())
		r.warn(
			s.Claim,
			v1alpha1.ReasonWriteRefused,
			fmt.Sprintf("The API server refused what an export or import of this claim needs: %v", err),
		)
		return ctrl.Result{RequeueAfter: refusalDelay}, nil
	case d.Action != rest:
		return ctrl.Result{}, nil // A watch wakes us.
	}
	if err := r.report(ctx, s, errs); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: staleDelay}, nil
		}
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}

func (r *Reconciler) observe(ctx context.Context, request ctrl.Request) (state, error) {
	s := state{Claim: &corev1.PersistentVolumeClaim{}, Now: r.Now()}
	if err := r.Get(ctx, request.NamespacedName, s.Claim); err != nil {
		r.made.Delete(request.NamespacedName)
		return state{}, client.IgnoreNotFound(err)
	}
	if made, ok := r.made.Load(request.NamespacedName); ok {
		s.Made = made.(types.UID)
	}
	var all v1alpha1.S3ExportList
	if err := r.List(
		ctx, &all, client.InNamespace(request.Namespace), client.MatchingFields{byClaim: request.Name},
	); err != nil {
		return state{}, fmt.Errorf("list S3Exports: %w", err)
	}
	for i := range all.Items {
		if of(&all.Items[i], s.Claim) {
			s.Exports = append(s.Exports, all.Items[i])
		}
	}
	var imports v1alpha1.S3ImportList
	if err := r.List(
		ctx, &imports, client.InNamespace(request.Namespace), client.MatchingFields{byClaim: request.Name},
	); err != nil {
		return state{}, fmt.Errorf("list S3Imports: %w", err)
	}
	for i := range imports.Items {
		if importOf(&imports.Items[i], s.Claim) {
			s.Imports = append(s.Imports, imports.Items[i])
		}
	}
	return s, nil
}

// of tells whether an export is one of this claim, and not of an earlier one with its name.
func of(e *v1alpha1.S3Export, claim *corev1.PersistentVolumeClaim) bool {
	for _, uid := range []string{e.Status.ClaimUID, e.Labels[v1alpha1.LabelClaimUID]} {
		if uid != "" && uid != string(claim.UID) {
			return false
		}
	}
	return true
}

// errStale: the claim was written since the cache saw it.
var errStale = errors.New("observed claim is stale")

// act makes the one write.
func (r *Reconciler) act(ctx context.Context, s state, d decision) error {
	switch d.Action {
	case create:
		if err := r.unchanged(ctx, s.Claim); err != nil {
			return err
		}
		if err := r.Create(ctx, d.object(), client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
			return err
		}
		r.made.Store(client.ObjectKeyFromObject(s.Claim), d.object().GetUID())
	case note:
		if err := r.annotate(ctx, s.Claim, d.Annotation, d.Value); err != nil {
			return err // What was decided on an old claim may be wrong, and is told by nobody.
		}
		if d.Annotation != v1alpha1.AnnotationExportedTick {
			r.made.Delete(client.ObjectKeyFromObject(s.Claim))
		}
		r.tellNoted(s.Claim, d)
	case remove:
		uid := d.object().GetUID()
		return client.IgnoreNotFound(r.Delete(ctx, d.object(), client.Preconditions{UID: &uid}))
	case rest:
	}
	return nil
}

// tellNoted tells why there is no run of what was noted.
func (r *Reconciler) tellNoted(claim *corev1.PersistentVolumeClaim, d decision) {
	if text := missedNote(d.Missed); text != "" {
		r.warn(claim, v1alpha1.ReasonTooManyMissedTimes, text)
	}
	if !d.Ahead.IsZero() {
		r.warn(claim, v1alpha1.ReasonScheduledAhead, aheadNote(d.Ahead))
	}
	if d.Warning != "" {
		r.warn(claim, v1alpha1.ReasonInvalidAnnotations, d.Warning)
	}
	if d.Reused != "" {
		r.warn(claim, v1alpha1.ReasonTokenReused, d.Reused)
	}
}

// tellForeign tells of an object that has the name of a run of this claim and is not one: no watch tells of it.
func (r *Reconciler) tellForeign(ctx context.Context, s state, d decision) error {
	o := d.object().DeepCopyObject().(client.Object)
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return client.IgnoreNotFound(err)
	}
	kind, ours := v1alpha1.KindS3Export, false
	switch found := o.(type) {
	case *v1alpha1.S3Export:
		ours = found.Spec.ClaimName == s.Claim.Name && of(found, s.Claim)
	case *v1alpha1.S3Import:
		kind, ours = v1alpha1.KindS3Import, found.Spec.ClaimName == s.Claim.Name && importOf(found, s.Claim)
	}
	if !ours {
		r.warn(s.Claim, v1alpha1.ReasonWriteRefused, fmt.Sprintf(
			"%s %s exists, and was not made for this claim: it keeps the name that what the annotations ask for has. Delete "+
				"it; that is then made.", kind, o.GetName()))
	}
	return nil
}

// unchanged tells that nobody wrote the claim since it was cached: a manager that does not know that a token was
// noted would make an export anew that somebody deleted.
func (r *Reconciler) unchanged(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	now := &corev1.PersistentVolumeClaim{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(claim), now); err != nil {
		return fmt.Errorf("read the claim: %w", err)
	}
	if now.UID != claim.UID || now.ResourceVersion != claim.ResourceVersion {
		return errStale
	}
	return nil
}

func (r *Reconciler) annotate(ctx context.Context, claim *corev1.PersistentVolumeClaim, name, value string) error {
	annotations := map[string]any{name: value}
	if value == "" {
		annotations[name] = nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": claim.UID, "resourceVersion": claim.ResourceVersion, "annotations": annotations},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return r.Patch(
		ctx,
		claim.DeepCopy(),
		client.RawPatch(types.MergePatchType, patch),
		client.FieldOwner(v1alpha1.FieldOwner),
	)
}

// report makes the condition what it is to be, in one write with the note of which run had files, and tells a failure
// that is new as an event.
func (r *Reconciler) report(ctx context.Context, s state, errs field.ErrorList) error {
	if s.Claim.DeletionTimestamp != nil {
		return nil
	}
	v := judge(s, errs)
	next, changed := v.next(s.Claim, s.Now)
	files := filesNote(s)
	if !changed && files == "" {
		return nil
	}
	patch, err := statusPatch(s.Claim, next, changed, files)
	if err != nil {
		return fmt.Errorf("encode condition: %w", err)
	}
	err = r.Status().Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch),
		client.FieldOwner(v1alpha1.FieldOwner))
	switch {
	case apierrors.IsNotFound(err):
		return nil // It was deleted, and its runs with it.
	case err != nil:
		return fmt.Errorf("report condition: %w", err)
	}
	if changed && v.Status == corev1.ConditionFalse {
		r.warn(s.Claim, v.Reason, v.Message)
	}
	return nil
}

func (r *Reconciler) warn(claim *corev1.PersistentVolumeClaim, reason v1alpha1.Reason, text string) {
	r.Events.Eventf(claim, nil, corev1.EventTypeWarning, string(reason), "Export", "%s", cut(text, maxNote))
}
