// SPDX-License-Identifier: Apache-2.0

package claimsources

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// Unfilled tells claims that asked for data by an annotation, and were given no
// dataSourceRef, that they will not get any. It writes their condition and nothing else.
type Unfilled struct {
	client.Client

	Events events.EventRecorder
	Now    func() time.Time
}

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims/status,verbs=patch

// SetupWithManager watches the claims that the populator does not look at.
func (u *Unfilled) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("unfilled").
		For(&corev1.PersistentVolumeClaim{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return unfilled(o.(*corev1.PersistentVolumeClaim))
		}))).
		Complete(u)
	if err != nil {
		return fmt.Errorf("register controller of unfilled claims: %w", err)
	}
	return nil
}

// unfilled tells whether there is something to say about a claim, or to take back.
func unfilled(claim *corev1.PersistentVolumeClaim) bool {
	_, told := condition(claim)
	return !annotated.Ours(claim) && claim.DeletionTimestamp == nil && (annotated.Mention(claim) != "" || told)
}

func condition(claim *corev1.PersistentVolumeClaim) (corev1.PersistentVolumeClaimCondition, bool) {
	for _, c := range claim.Status.Conditions {
		if c.Type == v1alpha1.ConditionPopulated {
			return c, true
		}
	}
	return corev1.PersistentVolumeClaimCondition{}, false
}

// Reconcile looks at one claim; at rest it writes nothing.
func (u *Unfilled) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := u.Get(ctx, request.NamespacedName, claim); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !unfilled(claim) {
		return ctrl.Result{}, nil
	}
	v := judge(claim, u.Now())
	if v.Recheck > 0 {
		return ctrl.Result{RequeueAfter: v.Recheck}, nil
	}
	return ctrl.Result{}, u.report(ctx, claim, v)
}

// report makes the condition what it is to be, and tells a new failure as an event.
func (u *Unfilled) report(ctx context.Context, claim *corev1.PersistentVolumeClaim, v verdict) error {
	was, _ := condition(claim) // The zero value where there is none, which a verdict without a status equals.
	if was.Status == v.Status && was.Reason == string(v.Reason) && was.Message == v.Message {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": claim.UID, "resourceVersion": claim.ResourceVersion},
		"status":   map[string]any{"conditions": []any{v.change(was, u.Now())}},
	})
	if err != nil {
		return fmt.Errorf("encode condition: %w", err)
	}
	err = u.Status().Patch(ctx, claim.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("report condition: %w", err)
	}
	if v.Status == corev1.ConditionFalse && was.Reason != string(v.Reason) {
		u.Events.Eventf(claim, nil, corev1.EventTypeWarning, string(v.Reason), "Judge", "%s", v.Message)
	}
	return nil
}

// change is the entry of a strategic merge patch that makes the condition what it is to be.
func (v verdict) change(was corev1.PersistentVolumeClaimCondition, now time.Time) any {
	if v.Status == "" {
		return map[string]any{"$patch": "delete", "type": v1alpha1.ConditionPopulated}
	}
	next := corev1.PersistentVolumeClaimCondition{
		Type: v1alpha1.ConditionPopulated, Status: v.Status, Reason: string(v.Reason), Message: v.Message,
		LastTransitionTime: was.LastTransitionTime,
	}
	if was.Status != v.Status {
		next.LastTransitionTime = metav1.NewTime(now)
	}
	return next
}
