// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// beginMover starts the first mover of a run where no other one has begun in its place. Two that are looked at in one
// moment see nothing of each other in the cache: the API server is asked, and until there is a mover, no other run of
// the namespace begins.
func (r *Reconciler) beginMover(
	ctx context.Context, s protocol.State, d protocol.Decision,
) (protocol.Decision, error) {
	e := s.Export
	if needsNoTurn(s) {
		return r.tryMover(ctx, s, d)
	}
	leave, again := r.begins.enter(ctx, e, r.Options.Now())
	if leave == nil {
		return protocol.OutOfTurn(again), nil
	}
	defer leave()
	var err error
	if s.Ahead, err = r.ahead(ctx, e); err != nil {
		return d, err
	}
	if s.Ahead != nil {
		return protocol.Decide(s, r.Options.Defaults), nil
	}
	return r.tryMover(ctx, s, d)
}

// needsNoTurn tells that a run has begun, or is alone in its place.
func needsNoTurn(s protocol.State) bool {
	return s.Export.Status.Attempts > 0 || s.Export.Spec.DryRun || strings.Contains(s.Prefix, string(s.Export.UID))
}

// ahead is what the API server knows of who comes first. A run that has a mover has begun, also if its status does not
// say so yet. What became of the run itself while it waited for its turn is a conflict.
func (r *Reconciler) ahead(ctx context.Context, e *v1alpha1.S3Export) (*v1alpha1.S3Export, error) {
	var all v1alpha1.S3ExportList
	if err := r.Live.List(ctx, &all, client.InNamespace(e.Namespace)); err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	var pods corev1.PodList
	if err := r.Live.List(ctx, &pods, client.InNamespace(e.Namespace)); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	there := map[string]bool{} // By their names: a policy may have taken their labels.
	for i := range pods.Items {
		there[pods.Items[i].Name] = true
	}
	var own *v1alpha1.S3Export
	for i := range all.Items {
		o := &all.Items[i]
		if there[moverpod.ExportName(string(o.UID))] {
			o.Status.Attempts = max(1, o.Status.Attempts)
		}
		if o.UID == e.UID {
			own = o
		}
	}
	if own == nil || own.DeletionTimestamp != nil || own.Spec.Suspend {
		return nil, apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("s3exports").GroupResource(), e.Name,
			errors.New("it was written since it was cached"))
	}
	return protocol.Ahead(own, all.Items, protocol.PrefixOf), nil
}

// begins lets one run of a namespace begin at a time: those of others are none of its business, and what holds up their
// pods, as a webhook of theirs, holds up none of these. The zero value is ready for use.
type begins struct {
	turns  sync.Map // A channel of one place, by namespace.
	doubts sync.Map // A doubt, by namespace.
}

// doubt is about a mover whose creation was not answered: it may be there yet.
type doubt struct {
	of    types.UID
	until time.Time
}

const (
	// turnPatience is how long a worker waits for a turn: others need it.
	turnPatience = 300 * time.Millisecond
	// doubtFor is how long the API server may take for a request that nobody waits for any more.
	doubtFor = time.Minute
)

// enter takes the turn, and returns how it ends; nil, and when to ask again, where another run has it, or may have made
// its mover.
func (b *begins) enter(
	ctx context.Context, e *v1alpha1.S3Export, now time.Time,
) (leave func(), again time.Duration) {
	of, _ := b.turns.LoadOrStore(e.Namespace, make(chan struct{}, 1))
	turn := of.(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, turnPatience)
	defer cancel()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, time.Second
	}
	if was, ok := b.doubt(e.Namespace); ok && was.of != e.UID && now.Before(was.until) {
		<-turn
		return nil, was.until.Sub(now)
	}
	return func() { <-turn }, 0
}

func (b *begins) doubt(namespace string) (doubt, bool) {
	was, ok := b.doubts.Load(namespace)
	if !ok {
		return doubt{}, false
	}
	return was.(doubt), true
}

// answered notes what the API server has said to the creation of a run's mover. A run that tries again and again does
// not renew its doubt before that is over: others begin then.
func (b *begins) answered(e *v1alpha1.S3Export, err error, now time.Time) {
	was, ok := b.doubt(e.Namespace)
	own := ok && was.of == e.UID
	switch {
	case err == nil && own:
		b.doubts.Delete(e.Namespace)
	case unanswered(err) && (!own || !now.Before(was.until)):
		b.doubts.Store(e.Namespace, doubt{of: e.UID, until: now.Add(doubtFor)})
	}
}

// unanswered tells that what was to be created may be there, or be there yet. What a policy, a quota or a webhook has
// refused is not, also where it may pass; a pod of the name that is somebody else's is no mover.
func unanswered(err error) bool {
	var unusable *movers.UnusableError
	var status apierrors.APIStatus
	switch {
	case err == nil, errors.As(err, &unusable):
		return false
	case !errors.As(err, &status):
		return true
	}
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsInternalError(err) && !strings.Contains(err.Error(), "webhook")
}
