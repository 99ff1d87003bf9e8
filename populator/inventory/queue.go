// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/queue"
)

// queueQuiet is how long a source may wait for its turn before its condition says so.
const queueQuiet = 15 * time.Second

// inTurn holds a listing back until the queue has a place for it. A verdict that stands
// stays: only a source without one is told to be queued.
func inTurn(s state, d decision) decision {
	if d.Action != startPod || s.Queued == nil {
		return d
	}
	if left := queueQuiet - s.Queued.Waited; left > 0 {
		return decision{Action: wait, Recheck: min(left, s.Queued.Recheck())}
	}
	d.Action, d.Recheck = wait, s.Queued.Recheck()
	if d.Status == metav1.ConditionUnknown {
		d.Reason, d.Message = v1alpha1.ReasonQueued,
			"The source is listed when there is a place for a mover: "+s.Queued.String()
	}
	return d
}

// turn asks the queue for a place when a listing is due; nil is a place.
func (r *Reconciler) turn(ctx context.Context, s state) (*queue.Position, error) {
	if wish(s).Action != startPod {
		r.Places.Leave(v1alpha1.RoleInventory, client.ObjectKeyFromObject(s.Source))
		return nil, nil //nolint:nilnil // Whoever starts no pod does not wait for a place.
	}
	position, err := r.Places.Ask(ctx, queue.Request{
		Use: queue.Use{
			UID: s.Source.UID, Namespace: s.Source.Namespace, Places: 1,
			Endpoint: queue.Host(s.Source.Spec.Endpoint), Source: string(s.Source.UID),
		},
		Role:      v1alpha1.RoleInventory,
		Name:      client.ObjectKeyFromObject(s.Source),
		Since:     s.Source.CreationTimestamp.Time,
		SourceMax: int(s.Source.Spec.Transfer.MaxMovers),
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a place: %w", err)
	}
	return position, nil
}
