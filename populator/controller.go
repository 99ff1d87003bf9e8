// SPDX-License-Identifier: Apache-2.0

// Package populator fills a claim before it exists for its user: it makes a prime
// claim, has a mover fill and verify the prime's volume, and rebinds that volume to
// the claim. It owns that protocol and nothing else: it never writes a claim's spec,
// never touches a claim of another kind, and never reads a Secret.
//
// Every pass is observe, decide, act, report. No state is kept that can be observed. What
// is decided and built is package protocol's, which can do no I/O.
package populator

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/populator/protocol"
	"github.com/s3populator/s3populator/populator/queue"
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
	// CopiedAnnotations of a claim go onto its prime, for classes whose driver parameters
	// read ${pvc.annotations['...']}.
	CopiedAnnotations []string
	// Workers is how many claims are looked at at once.
	Workers int
	// Now is the clock.
	Now func() time.Time
}

// mover is what a mover pod of now is built with.
func (o Options) mover() protocol.MoverOptions {
	return protocol.MoverOptions{
		Image:       o.Image,
		Defaults:    o.Defaults,
		ProgressURL: o.ProgressURL,
		ProgressCA:  string(o.ProgressCA()),
	}
}

// Reconciler drives claims. Its cached client reads what is watched; live reads the API
// server where an old answer could lose data.
type Reconciler struct {
	client.Client
	Live    client.Reader
	Events  events.EventRecorder
	Options Options
	// Places keeps movers waiting that are too many.
	Places places.Office

	troubles troubles
	promised claimedVolumes
	attached attachedVolumes
	setbacks setbacks
	refusals refusals
	movers   sightings
}

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses;csidrivers;volumeattachments,verbs=list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources,verbs=get;list;watch
// +kubebuilder:rbac:groups=s3populator.io,resources=s3imports,verbs=list;watch;create
// +kubebuilder:rbac:groups=s3populator.io,resources=s3imports/status,verbs=patch

// Reconcile looks at one claim and makes at most one step of the protocol.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := r.Get(ctx, request.NamespacedName, claim); err != nil {
		r.setbacks.forget(request.NamespacedName)
		r.refusals.forget(request.NamespacedName)
		r.movers.forget(request.NamespacedName)
		r.Places.Leave(v1alpha1.RolePopulate, request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err) // Garbage collection has the rest.
	}
	if !ours(claim) {
		return ctrl.Result{}, nil
	}
	reading := write{request.NamespacedName, readAll}
	if left := r.setbacks.left(reading, r.Options.Now()); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	s, err := r.observe(ctx, claim)
	if err != nil {
		return ctrl.Result{RequeueAfter: r.unread(ctx, claim, fmt.Errorf("observe: %w", err))}, nil
	}
	r.setbacks.succeeded(reading)
	if s.Queued, err = r.turn(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	d := protocol.Decide(s)
	log.FromContext(ctx).V(1).Info("Decided", "action", d.Action, "reason", d.Reason)
	return ctrl.Result{RequeueAfter: r.carryOut(ctx, s, d)}, nil
}

// carryOut acts and reports, and tells when to look again; zero waits for a watch.
func (r *Reconciler) carryOut(ctx context.Context, s protocol.State, d protocol.Decision) time.Duration {
	step := write{client.ObjectKeyFromObject(s.Claim), string(d.Action)}
	if left := r.setbacks.left(step, s.Now); left > 0 {
		r.Places.Release(s.Claim.UID)
		return left
	}
	done, err := r.try(ctx, step, s, d)
	if err == nil {
		r.setbacks.succeeded(step)
		if done.Action != d.Action { // Refused: what was to take the place does not exist.
			r.Places.Release(s.Claim.UID)
		}
		return r.report(ctx, s, done)
	}
	if !stale(err) {
		r.Places.Release(s.Claim.UID)
	}
	after, tell := r.failed(ctx, step, err, s.Now)
	if !tell { // What was not done is not told.
		return after
	}
	refused := protocol.WriteRefused(s, d, words(err)).Again(after)
	if refused.Announce != "" && !r.setbacks.tell(step, string(refused.Announce)) {
		refused.Announce = "" // An event is told once, a condition stays.
	}
	return r.report(ctx, s, refused)
}

// turn asks the queue for a place when that is all that a mover still needs; nil is a place.
func (r *Reconciler) turn(ctx context.Context, s protocol.State) (*queue.Position, error) {
	if !protocol.WantsPlace(s) {
		r.Places.Leave(v1alpha1.RolePopulate, client.ObjectKeyFromObject(s.Claim))
		return nil, nil //nolint:nilnil // Whoever starts no mover does not wait for a place.
	}
	position, err := r.Places.Ask(ctx, protocol.PlaceFor(s))
	if err != nil {
		return nil, fmt.Errorf("ask for a place: %w", err)
	}
	return position, nil
}

// stale tells that the world was newer than what we decided on: nothing is wrong, and a
// newer look decides again.
func stale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err)
}

var (
	errStale                      = errors.New("observed state is stale")
	_        reconcile.Reconciler = &Reconciler{}
)
