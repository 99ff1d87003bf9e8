// SPDX-License-Identifier: Apache-2.0

// Package places reads, for package queue, the movers that there are: from the cache, never
// from the API server.
package places

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/queue"
)

// Office joins the queue with the cache of movers. One without a Queue has no caps.
type Office struct {
	Queue *queue.Queue
	Cache client.Reader
	Now   func() time.Time
}

// Movers are the pods of ours that the cache shows.
func (o Office) Movers(ctx context.Context) ([]queue.Mover, error) {
	var pods corev1.PodList
	// Without a copy: they are only read, and with thousands of movers it would be most of the work.
	err := o.Cache.List(ctx, &pods, client.HasLabels{v1alpha1.LabelRole}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list movers: %w", err)
	}
	now := o.Now()
	all := make([]queue.Mover, 0, len(pods.Items))
	for i := range pods.Items {
		all = append(all, queue.MoverOf(&pods.Items[i], now))
	}
	return all, nil
}

// Ask is nil where a mover may start now.
func (o Office) Ask(ctx context.Context, r queue.Request) (*queue.Position, error) {
	if o.Queue == nil {
		return nil, nil //nolint:nilnil // No queue, no waiting.
	}
	movers, err := o.Movers(ctx)
	if err != nil {
		return nil, err
	}
	return o.Queue.Ask(movers, r), nil
}

// Leave is for a claim or source that does not want to start a mover.
func (o Office) Leave(role string, name types.NamespacedName) { o.Queue.Leave(role, name) }

// Release gives the place of a mover back that could not be made.
func (o Office) Release(uid types.UID) { o.Queue.Release(uid) }

// Waiting maps a pod that has given its place back to those of a role who are next.
func (o Office) Waiting(role string) handler.MapFunc {
	return func(ctx context.Context, _ client.Object) []reconcile.Request {
		if o.Queue.Empty() {
			return nil
		}
		movers, err := o.Movers(ctx)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot wake who is next in the queue; they look again by themselves")
			return nil
		}
		var all []reconcile.Request
		for _, name := range o.Queue.Next(movers, role) {
			all = append(all, reconcile.Request{NamespacedName: name})
		}
		return all
	}
}

// Freed are the changes of pods that give a place back.
func (o Office) Freed() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		DeleteFunc:  func(e event.DeleteEvent) bool { return e.Object.GetLabels()[v1alpha1.LabelRole] != "" },
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, ok1 := e.ObjectOld.(*corev1.Pod)
			is, ok2 := e.ObjectNew.(*corev1.Pod)
			return ok1 && ok2 && is.Labels[v1alpha1.LabelRole] != "" && queue.Freed(was, is, o.Now())
		},
	}
}
