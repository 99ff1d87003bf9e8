// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/populator/queue"
)

// longestListing bounds an inventory pod: a million keys take minutes.
const longestListing = time.Hour

// refusalDelay is how often a pod is tried again that a quota or a policy refused.
const refusalDelay = 30 * time.Second

// Reconciler keeps the status of every S3Source true.
type Reconciler struct {
	client.Client
	// Live reads the API server, where the cache does not show a pod of ours, and before an export is kept.
	Live   client.Reader
	Events events.EventRecorder
	Image  moverpod.Image
	// Defaults of mover pods.
	Defaults moverpod.Defaults
	Now      func() time.Time
	// Workers is how many sources are looked at at once.
	Workers int
	// Places keeps listings waiting that are too many.
	Places places.Office
}

// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources/status,verbs=patch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources/finalizers,verbs=update

// SetupWithManager watches sources and their pods.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("inventory").
		For(
			&v1alpha1.S3Source{},
			builder.WithPredicates(
				predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}),
			),
		).
		Owns(&corev1.Pod{}).
		Watches(&v1alpha1.S3Export{}, handler.EnqueueRequestsFromMapFunc(r.fromExport)).
		Watches(
			&corev1.Pod{},
			handler.EnqueueRequestsFromMapFunc(r.Places.Waiting(v1alpha1.RoleInventory)),
			builder.WithPredicates(r.Places.Freed()),
		).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("register inventory controller: %w", err)
	}
	return nil
}

// Reconcile looks at one source and makes at most one step.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.observe(ctx, request.NamespacedName)
	if err != nil || s.Source == nil {
		r.Places.Leave(v1alpha1.RoleInventory, request.NamespacedName)
		return ctrl.Result{}, err
	}
	if s.Queued, err = r.turn(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	wish := decide(s)
	d, err := r.act(ctx, s, wish)
	if err != nil && !apierrors.IsConflict(err) || d.Action != wish.Action {
		r.Places.Release(s.Source.UID) // What was to take the place does not exist.
	}
	if err != nil {
		return failed(d, err)
	}
	switch err := r.report(ctx, s, d); {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: time.Second}, nil
	case ctx.Err() != nil: // This replica ends; nobody refused anything.
		return ctrl.Result{}, fmt.Errorf("report: %w", ctx.Err())
	case err != nil:
		log.FromContext(ctx).Info("Write failed, trying again later", "write", "Status", "error", err.Error(), "after",
			refusalDelay)
		r.Events.Eventf(s.Source, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonWriteRefused), "TakeInventory",
			"The API server did not let the manager write the status of this source: %v", err)
		return ctrl.Result{RequeueAfter: refusalDelay}, nil
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}

// failed leaves the pace to controller-runtime, except after a conflict.
func failed(d decision, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, err)
}

func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (state, error) {
	s := state{Now: r.Now(), Source: &v1alpha1.S3Source{}}
	if err := r.Get(ctx, name, s.Source); err != nil {
		return state{}, client.IgnoreNotFound(err)
	}
	if err := r.observeExport(ctx, &s); err != nil {
		return state{}, err
	}
	pod := &corev1.Pod{}
	err := r.Get(ctx, types.NamespacedName{Namespace: name.Namespace, Name: podName(s.Source)}, pod)
	if client.IgnoreNotFound(err) != nil {
		return state{}, fmt.Errorf("read inventory pod: %w", err)
	}
	if err == nil {
		s.Pod = pod
	}
	return s, nil
}

func (r *Reconciler) act(ctx context.Context, s state, d decision) (decision, error) {
	switch d.Action {
	case wait:
		return d, nil
	case deletePod:
		return refused(s, d, "delete pod "+s.Pod.Name, client.IgnoreNotFound(r.deletePod(ctx, s.Pod)))
	case resolve:
		return d, r.resolve(ctx, s)
	case startPod:
		err := r.create(ctx, s)
		return refused(s, d, "create pod "+podName(s.Source)+", which lists the source", err)
	}
	return d, fmt.Errorf("unknown action %q", d.Action)
}

// deletePod ends a pod by force that was deleted before and is still there.
func (r *Reconciler) deletePod(ctx context.Context, pod *corev1.Pod) error {
	options := []client.DeleteOption{client.Preconditions{UID: &pod.UID}}
	if pod.DeletionTimestamp != nil {
		options = append(options, client.GracePeriodSeconds(0))
	}
	return r.Delete(ctx, pod, options...) //nolint:wrapcheck // refused reads the API server's status.
}

func (r *Reconciler) pod(s state) (*corev1.Pod, error) {
	request, err := moverpod.Request(wire.Inventory, s.Source.Spec)
	if err != nil {
		return nil, err
	}
	request.Attempt = int(s.Source.Status.Failures) + 1
	if !told(s.Source) {
		request.Attempt = 1
	}
	deadline := longestListing
	if d := s.Source.Spec.Retries.AttemptTimeout; d != nil {
		deadline = min(deadline, d.Duration)
	}
	return moverpod.New(moverpod.Spec{
		Name: podName(s.Source), Namespace: s.Source.Namespace,
		Owner:  *metav1.NewControllerRef(s.Source, v1alpha1.GroupVersion.WithKind(v1alpha1.KindS3Source)),
		Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.RoleInventory, v1alpha1.LabelSourceUID: string(s.Source.UID)},
		Annotations: map[string]string{
			v1alpha1.AnnotationRequestHash:  requestHash(s.Source),
			v1alpha1.AnnotationEndpointHost: queue.Host(s.Source.Spec.Endpoint),
			v1alpha1.AnnotationAttempt:      strconv.Itoa(request.Attempt),
		},
		Image: r.Image, Location: s.Source.Spec.S3Location, Mover: s.Source.Spec.Mover, Defaults: r.Defaults,
		Request: request, Deadline: deadline,
	})
}

// report patches the status when it differs and speaks when the verdict changed.
func (r *Reconciler) report(ctx context.Context, s state, d decision) error {
	if d.Status == "" {
		return nil
	}
	next := status(s, d)
	if equality.Semantic.DeepEqual(s.Source.Status, next) {
		return nil
	}
	changed := s.Source.DeepCopy()
	changed.Status = next
	err := r.Status().Patch(ctx, changed, client.MergeFromWithOptions(s.Source, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsNotFound(err):
		return nil // It was deleted, and its pod with it, which is no failure that anybody should hear of.
	case err != nil:
		return fmt.Errorf("patch status: %w", err)
	}
	was := meta.FindStatusCondition(s.Source.Status.Conditions, v1alpha1.ConditionReady)
	if d.Reason != v1alpha1.ReasonTakingInventory && d.Reason != v1alpha1.ReasonQueued &&
		(was == nil || was.Reason != string(d.Reason)) {
		kind := corev1.EventTypeWarning
		if d.Status == metav1.ConditionTrue {
			kind = corev1.EventTypeNormal
		}
		r.Events.Eventf(s.Source, nil, kind, string(d.Reason), "TakeInventory", "%s", d.Message)
	}
	return nil
}

// status is pure: what the source shows after a decision that speaks.
func status(s state, d decision) v1alpha1.S3SourceStatus {
	next := *s.Source.Status.DeepCopy()
	next.ObservedGeneration = s.Source.Generation
	meta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: d.Status, Reason: string(d.Reason), Message: d.Message,
		ObservedGeneration: s.Source.Generation, LastTransitionTime: metav1.NewTime(s.Now.Truncate(time.Second)),
	})
	if d.Status == metav1.ConditionUnknown {
		return next
	}
	next.ObservedRefresh = s.Source.Annotations[v1alpha1.AnnotationRefresh]
	next.Failures = d.Failures
	next.NextInventoryTime = d.Next
	if d.Inventory != nil {
		next.Inventory = d.Inventory
	}
	return next
}

func podName(source *v1alpha1.S3Source) string { return moverpod.InventoryName(string(source.UID)) }

// requestHash changes when another listing would be another request: with the spec, whose
// changes the generation counts, and with the refresh token. It is the same in every
// version of ours, so that an upgrade ends no listing.
func requestHash(source *v1alpha1.S3Source) string {
	sum := sha256.Sum256([]byte(source.Annotations[v1alpha1.AnnotationRefresh]))
	return strconv.FormatInt(source.Generation, 10) + "." + hex.EncodeToString(sum[:8])
}
