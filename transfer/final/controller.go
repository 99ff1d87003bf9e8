// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// staleDelay is how long a cache is given to catch up.
const staleDelay = time.Second

// Reconciler drives the export of claims before they go. A claim is known by its UID: its name may be
// another's by the time that its volume is given back. Its cached client finds what there is to do; once
// a claim is being deleted everything is read from the API server, because that is rare, and an old answer
// could lose a volume.
type Reconciler struct {
	client.Client
	Live   client.Reader
	Events events.EventRecorder
	Now    func() time.Time
	// told are the reasons of claims that are gone, by UID, which were told since the manager started.
	told sync.Map
	// unasked is since when nothing asks any more for the export of a claim that is held, by UID.
	unasked sync.Map
}

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch;delete
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=storage.k8s.io,resources=volumeattachments,verbs=list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=s3populator.io,resources=s3exportpolicies,verbs=list;watch

// Reconcile looks at the claim of a UID, which is the name of the request, and makes at most one step. A claim that
// only a policy selects is known by its name until it is held.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.observe(ctx, request.NamespacedName)
	if stale(err) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("observe: %w", err)
	}
	d := Decide(s)
	log.FromContext(ctx).V(1).Info("Decided", "action", d.Action, "reason", d.Reason)
	d, err = r.act(ctx, s, d)
	if stale(err) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("%s: %w", d.Action, err)
	}
	err = r.report(ctx, s, d)
	if stale(err) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("report: %w", err)
	}
	if d.Action != Wait && d.Recheck == 0 && s.deleting() {
		d.Recheck = recheck // A watch wakes us for the next step; this is the net below it.
	}
	return ctrl.Result{RequeueAfter: d.Recheck}, nil
}

// stale tells that the world was newer than what was decided on.
func stale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err)
}

var (
	errStale                      = errors.New("observed state is stale")
	_        reconcile.Reconciler = &Reconciler{}
)
