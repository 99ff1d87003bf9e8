// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The indexes of the cache.
const (
	indexClaim    = "final.uid"
	indexTaken    = "final.taken"
	indexAttached = "final.attached"
)

// byName begins a request for a claim that nothing but a policy selects; its name follows. No UID has a slash.
const byName = "claim/"

// Concerns tells whether a claim is held by us or asks to be; the cache keeps those whole.
func Concerns(claim *corev1.PersistentVolumeClaim) bool { return Held(claim) || Selected(claim) }

// watch is one kind whose changes concern claims.
type watch struct {
	object     client.Object
	requests   handler.MapFunc
	predicates []predicate.Predicate
}

// watches are a table so that tests can drive them without a manager.
func (r *Reconciler) watches() []watch {
	return []watch{
		{&corev1.PersistentVolumeClaim{}, r.fromSelected, nil},
		{&v1alpha1.S3ExportPolicy{}, r.fromPolicy, []predicate.Predicate{newPolicy()}},
		{&corev1.PersistentVolume{}, fromVolume, nil},
		{&v1alpha1.S3Export{}, fromLabels, []predicate.Predicate{newPhase()}},
		{&corev1.Pod{}, fromPod, []predicate.Predicate{onlyDeleted()}},
		{&storagev1.VolumeAttachment{}, r.fromAttachment, []predicate.Predicate{onlyDeleted()}},
	}
}

// SetupWithManager registers indexes and watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("final-export")
	for _, w := range r.watches() {
		b = b.Watches(w.object, handler.EnqueueRequestsFromMapFunc(w.requests), builder.WithPredicates(w.predicates...))
	}
	if err := b.Complete(r); err != nil {
		return fmt.Errorf("register controller of exports before deletion: %w", err)
	}
	return nil
}

func addIndexes(ctx context.Context, to client.FieldIndexer) error {
	for _, i := range []struct {
		object client.Object
		name   string
		value  func(client.Object) string
	}{
		{&corev1.PersistentVolumeClaim{}, indexClaim, func(o client.Object) string {
			if claim := o.(*corev1.PersistentVolumeClaim); Concerns(claim) {
				return string(claim.UID)
			}
			return ""
		}},
		{&corev1.PersistentVolume{}, indexTaken, func(o client.Object) string {
			record, _ := RecordOf(o.(*corev1.PersistentVolume))
			return string(record.UID)
		}},
		{&storagev1.VolumeAttachment{}, indexAttached, func(o client.Object) string {
			return attachedVolume(o.(*storagev1.VolumeAttachment))
		}},
	} {
		err := to.IndexField(ctx, i.object, i.name, func(o client.Object) []string {
			if value := i.value(o); value != "" {
				return []string{value}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("index %T by %s: %w", i.object, i.name, err)
		}
	}
	return nil
}

func attachedVolume(a *storagev1.VolumeAttachment) string {
	if name := a.Spec.Source.PersistentVolumeName; name != nil {
		return *name
	}
	return ""
}

func request(namespace, uid string) []reconcile.Request {
	if uid == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: uid}}}
}

// fromClaim: the claim itself, and the one that it is the export claim of, as which its name alone tells it: it may
// have lost its labels, and users may have named it so.
func fromClaim(_ context.Context, o client.Object) (requests []reconcile.Request) {
	if Concerns(o.(*corev1.PersistentVolumeClaim)) {
		requests = request(o.GetNamespace(), string(o.GetUID()))
	}
	if uid, ok := strings.CutPrefix(o.GetName(), ExportClaimPrefix); ok {
		requests = append(requests, request(o.GetNamespace(), uid)...)
	}
	return requests
}

// fromSelected: a claim of any kind, because a policy of its namespace may select it.
func (r *Reconciler) fromSelected(ctx context.Context, o client.Object) []reconcile.Request {
	requests, claim := fromClaim(ctx, o), o.(*corev1.PersistentVolumeClaim)
	if Concerns(claim) {
		return requests
	}
	return append(requests, r.wake(claim, r.policiesOf(ctx, claim.Namespace))...)
}

// fromPolicy: every claim of its namespace, because it may be selected now, or not any more.
func (r *Reconciler) fromPolicy(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	var all corev1.PersistentVolumeClaimList
	if err := r.List(ctx, &all, client.InNamespace(o.GetNamespace())); err != nil {
		log.FromContext(ctx).Error(err, "Cannot list claims")
		return nil
	}
	policies := r.policiesOf(ctx, o.GetNamespace())
	for i := range all.Items {
		requests = append(requests, r.wake(&all.Items[i], policies)...)
	}
	return requests
}

func (r *Reconciler) policiesOf(ctx context.Context, namespace string) []v1alpha1.S3ExportPolicy {
	var all v1alpha1.S3ExportPolicyList
	if err := r.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		log.FromContext(ctx).Error(err, "Cannot list S3ExportPolicies")
	}
	return onDelete(all.Items)
}

// wake a claim that concerns us by its UID, as all that belongs to it does, and one that is only selected by its name.
func (r *Reconciler) wake(claim *corev1.PersistentVolumeClaim, policies []v1alpha1.S3ExportPolicy) []reconcile.Request {
	switch s := (State{Claim: claim, Policies: policies}); {
	case Concerns(claim):
		return request(claim.Namespace, string(claim.UID))
	case s.selected():
		return request(claim.Namespace, byName+claim.Name)
	}
	return nil
}

func fromVolume(_ context.Context, o client.Object) []reconcile.Request {
	volume := o.(*corev1.PersistentVolume)
	record, ok := RecordOf(volume)
	if ref := volume.Spec.ClaimRef; !ok && ref != nil {
		if uid, ok := strings.CutPrefix(ref.Name, ExportClaimPrefix); ok {
			return request(ref.Namespace, uid) // Somebody removed the record.
		}
	}
	return request(record.Namespace, string(record.UID))
}

func fromLabels(_ context.Context, o client.Object) []reconcile.Request {
	if uid, ok := strings.CutPrefix(o.GetName(), exportPrefix); ok &&
		o.GetLabels()[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport {
		return request(o.GetNamespace(), uid)
	}
	return nil
}

// fromPod: a mover of the S3Export of a final export.
func fromPod(_ context.Context, o client.Object) []reconcile.Request {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != v1alpha1.KindS3Export {
		return nil
	}
	uid, ok := strings.CutPrefix(owner.Name, exportPrefix)
	if !ok {
		return nil
	}
	return request(o.GetNamespace(), uid)
}

// fromAttachment: whoever waits for a volume to be detached.
func (r *Reconciler) fromAttachment(ctx context.Context, o client.Object) []reconcile.Request {
	volume := &corev1.PersistentVolume{}
	key := types.NamespacedName{Name: attachedVolume(o.(*storagev1.VolumeAttachment))}
	if err := r.Get(ctx, key, volume); err != nil || volume.Spec.ClaimRef == nil {
		return nil // Whoever waits looks again by itself.
	}
	ref := volume.Spec.ClaimRef
	claim, err := r.cachedClaim(ctx, ref.Namespace, ref.UID)
	if err != nil || claim == nil {
		return nil
	}
	return request(ref.Namespace, string(ref.UID))
}

func onlyDeleted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// newPolicy leaves out policies that have nothing to do with deletions, and their status.
func newPolicy() predicate.Predicate {
	asks := func(o client.Object) bool { return o.(*v1alpha1.S3ExportPolicy).Spec.OnDelete }
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return asks(e.Object) },
		DeleteFunc: func(e event.DeleteEvent) bool { return asks(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return (asks(e.ObjectOld) || asks(e.ObjectNew)) && !reflect.DeepEqual(
				e.ObjectOld.(*v1alpha1.S3ExportPolicy).Spec, e.ObjectNew.(*v1alpha1.S3ExportPolicy).Spec,
			)
		},
	}
}

// newPhase leaves out progress.
func newPhase() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, b := e.ObjectOld.(*v1alpha1.S3Export), e.ObjectNew.(*v1alpha1.S3Export)
		return a.Status.Phase != b.Status.Phase || (a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) ||
			!reflect.DeepEqual(a.Status.Conditions, b.Status.Conditions)
	}}
}
