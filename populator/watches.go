// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// The indexes that turn an event about something else into the claims it concerns. They
// live in the cache, so a restart forgets nothing.
const (
	indexSource      = "ours.source"
	indexClass       = "ours.storageClassName"
	indexUID         = "ours.uid"
	indexClaimRefUID = "claimRef.uid"

	indexAttachedVolume = "source.persistentVolumeName"
)

// ours tells that a claim is to be populated by us. The API server fills dataSourceRef
// from dataSource only for kinds it knows, so the one field suffices.
func ours(claim *corev1.PersistentVolumeClaim) bool {
	ref := claim.Spec.DataSourceRef
	return ref != nil && ref.APIGroup != nil && *ref.APIGroup == v1alpha1.Group && ref.Kind == v1alpha1.KindS3Source &&
		ref.Name != ""
}

// watch is one kind whose changes concern claims.
type watch struct {
	object client.Object
	// claims are those that a change of an object concerns.
	claims     handler.MapFunc
	predicates []predicate.Predicate
}

// watches are all that wakes a claim, besides its own rechecks. They are a table so that
// tests can drive them without a manager.
func (r *Reconciler) watches() []watch {
	return []watch{
		{&corev1.PersistentVolumeClaim{}, fromClaim, []predicate.Predicate{claimsAndPrimes()}},
		{
			&corev1.Pod{},
			fromOwner,
			[]predicate.Predicate{predicate.Or(role(v1alpha1.RolePopulate), role(v1alpha1.RoleConsumer))},
		},
		{&corev1.Pod{}, r.Places.Waiting(v1alpha1.RolePopulate), []predicate.Predicate{r.Places.Freed()}},
		{&corev1.PersistentVolume{}, r.fromVolume, nil},
		{&storagev1.VolumeAttachment{}, r.fromAttachment, []predicate.Predicate{onlyDeleted()}},
		{&v1alpha1.S3Source{}, r.fromSource, []predicate.Predicate{newWish()}},
		{&storagev1.StorageClass{}, r.fromClass, []predicate.Predicate{predicate.Or(onlyCreated(), vouched())}},
		{&storagev1.CSIDriver{}, r.fromDriver, []predicate.Predicate{onlyCreated()}},
	}
}

// SetupWithManager registers indexes and watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("population").
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Workers})
	for _, w := range r.watches() {
		b = b.Watches(w.object, handler.EnqueueRequestsFromMapFunc(w.claims), builder.WithPredicates(w.predicates...))
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("register population controller: %w", err)
	}
	return nil
}

func addIndexes(ctx context.Context, to client.FieldIndexer) error {
	claims := map[string]func(*corev1.PersistentVolumeClaim) string{
		indexSource: func(c *corev1.PersistentVolumeClaim) string { return c.Spec.DataSourceRef.Name },
		indexUID:    func(c *corev1.PersistentVolumeClaim) string { return string(c.UID) },
		indexClass: func(c *corev1.PersistentVolumeClaim) string {
			if c.Spec.StorageClassName == nil {
				return ""
			}
			return *c.Spec.StorageClassName
		},
	}
	for name, value := range claims {
		err := to.IndexField(ctx, &corev1.PersistentVolumeClaim{}, name, func(o client.Object) []string {
			if c := o.(*corev1.PersistentVolumeClaim); ours(c) {
				return []string{value(c)}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("index claims by %s: %w", name, err)
		}
	}
	err := to.IndexField(ctx, &corev1.PersistentVolume{}, indexClaimRefUID, func(o client.Object) []string {
		if ref := o.(*corev1.PersistentVolume).Spec.ClaimRef; ref != nil && ref.UID != "" {
			return []string{string(ref.UID)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index volumes by claimRef: %w", err)
	}
	err = to.IndexField(ctx, &storagev1.VolumeAttachment{}, indexAttachedVolume, func(o client.Object) []string {
		return []string{attachedVolume(o.(*storagev1.VolumeAttachment))}
	})
	if err != nil {
		return fmt.Errorf("index attachments by volume: %w", err)
	}
	return nil
}

// claimsAndPrimes keeps every other claim of the cluster out of the queue.
func claimsAndPrimes() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		return o.GetLabels()[v1alpha1.LabelRole] == v1alpha1.RolePrime || ours(o.(*corev1.PersistentVolumeClaim))
	})
}

func role(want string) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelRole] == want })
}

func onlyCreated() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

// vouched wakes the claims of a class when an annotation of it changes: an administrator may
// vouch for a provisioner whose claims were refused until then.
func vouched() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			const annotation = v1alpha1.AnnotationHonoursDataSource
			return e.ObjectOld.GetAnnotations()[annotation] != e.ObjectNew.GetAnnotations()[annotation]
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

func onlyDeleted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(event.UpdateEvent) bool { return false },
	}
}

// newWish wakes claims whose source asks for something else, and those that wait for a
// size. A source that was made again while we did not watch arrives as an update.
func newWish() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, is := e.ObjectOld.(*v1alpha1.S3Source), e.ObjectNew.(*v1alpha1.S3Source)
		return was.Generation != is.Generation || was.UID != is.UID ||
			!reflect.DeepEqual(was.Status.FromExport, is.Status.FromExport) ||
			!protocol.InventoryCurrent(was) && protocol.InventoryCurrent(is)
	}}
}

func fromClaim(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetLabels()[v1alpha1.LabelRole] == v1alpha1.RolePrime {
		return fromOwner(ctx, o)
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
}

// fromOwner follows the controller reference to the claim.
func fromOwner(_ context.Context, o client.Object) []reconcile.Request {
	for _, ref := range o.GetOwnerReferences() {
		if ref.Controller != nil && *ref.Controller && ref.Kind == "PersistentVolumeClaim" {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: ref.Name}}}
		}
	}
	return nil
}

// fromVolume follows the claimRef: to the claim itself after the rebind, to the claim
// whose UID the prime's name carries before.
func (r *Reconciler) fromVolume(ctx context.Context, o client.Object) []reconcile.Request {
	ref := o.(*corev1.PersistentVolume).Spec.ClaimRef
	if ref == nil {
		return nil
	}
	uid := string(ref.UID)
	if prime, ok := strings.CutPrefix(ref.Name, protocol.PrimePrefix); ok {
		uid = prime
	}
	return r.claims(ctx, client.InNamespace(ref.Namespace), client.MatchingFields{indexUID: uid})
}

// fromAttachment follows a volume that was detached.
func (r *Reconciler) fromAttachment(ctx context.Context, o client.Object) []reconcile.Request {
	name := attachedVolume(o.(*storagev1.VolumeAttachment))
	v := &corev1.PersistentVolume{}
	if name == "" || r.Get(ctx, types.NamespacedName{Name: name}, v) != nil {
		return nil
	}
	return r.fromVolume(ctx, v)
}

func attachedVolume(a *storagev1.VolumeAttachment) string {
	if a.Spec.Source.PersistentVolumeName == nil {
		return ""
	}
	return *a.Spec.Source.PersistentVolumeName
}

func (r *Reconciler) fromSource(ctx context.Context, o client.Object) []reconcile.Request {
	return r.claims(ctx, client.InNamespace(o.GetNamespace()), client.MatchingFields{indexSource: o.GetName()})
}

func (r *Reconciler) fromClass(ctx context.Context, o client.Object) []reconcile.Request {
	return r.claims(ctx, client.MatchingFields{indexClass: o.GetName()})
}

// fromDriver wakes the claims of every class with that provisioner.
func (r *Reconciler) fromDriver(ctx context.Context, o client.Object) []reconcile.Request {
	var classes storagev1.StorageClassList
	if err := r.List(ctx, &classes); err != nil {
		return nil
	}
	var all []reconcile.Request
	for i := range classes.Items {
		if classes.Items[i].Provisioner == o.GetName() {
			all = append(all, r.fromClass(ctx, &classes.Items[i])...)
		}
	}
	return all
}

// claims lists from the cache, which fails only when the manager stops.
func (r *Reconciler) claims(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	var found corev1.PersistentVolumeClaimList
	if err := r.List(ctx, &found, options...); err != nil {
		return nil
	}
	all := make([]reconcile.Request, 0, len(found.Items))
	for i := range found.Items {
		all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&found.Items[i])})
	}
	return all
}
