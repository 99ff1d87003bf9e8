// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

// Bounds of reading events. The API server keeps no cache of events and no index by object:
// each look is a scan of all events of a namespace.
const (
	// troubleEvery is the least time between two looks at the events of one object.
	troubleEvery = time.Minute
	// troubleRate is how many looks per second all claims together may take.
	troubleRate = 2
	// troubleBurst lets a few claims of a quiet cluster be explained at once.
	troubleBurst = 10
	// troubleKept is of how many objects the latest answer is remembered: at most 1,000
	// bytes each.
	troubleKept = 4096
)

// troubles reads the Warning events of objects that have been waiting, seldom, and remembers
// what it read. Its zero value is ready for use.
type troubles struct {
	once  sync.Once
	known *lru.Cache // types.UID to trouble
	limit *rate.Limiter
}

type trouble struct {
	read time.Time
	text string
}

// of is the latest Warning event of an object, as it was read a minute ago at most, or
// longer ago while other claims have their turn; empty without one.
func (t *troubles) of(ctx context.Context, from client.Reader, now time.Time, object client.Object) (string, error) {
	t.once.Do(func() { t.known, t.limit = lru.New(troubleKept), rate.NewLimiter(troubleRate, troubleBurst) })
	var was trouble
	if v, ok := t.known.Get(object.GetUID()); ok {
		was, _ = v.(trouble)
	}
	if now.Sub(was.read) < troubleEvery || !t.limit.AllowN(now, 1) {
		return was.text, nil
	}
	var found corev1.EventList
	err := from.List(ctx, &found, client.InNamespace(object.GetNamespace()),
		client.MatchingFields{"involvedObject.uid": string(object.GetUID()), "type": corev1.EventTypeWarning})
	if err != nil {
		t.known.Add(object.GetUID(), trouble{read: now, text: was.text}) // The next look is as far away as after an answer.
		return was.text, fmt.Errorf("list events of %s: %w", object.GetName(), err)
	}
	is := trouble{read: now, text: protocol.LatestEvent(found.Items)}
	t.known.Add(object.GetUID(), is)
	return is.text, nil
}

// observeTrouble reads events only of what has been waiting for long and whose own status
// does not say why: a prime, or a mover that has a node. They only explain: without them
// everything else goes on.
func (r *Reconciler) observeTrouble(ctx context.Context, s *protocol.State) {
	var waiting client.Object
	switch {
	case s.Prime != nil && !protocol.Bound(s.Prime) &&
		s.Now.Sub(s.Prime.CreationTimestamp.Time) >= protocol.ProvisionPatience:
		waiting = s.Prime
	case s.Mover != nil && s.Mover.Status.Phase == corev1.PodPending &&
		s.Now.Sub(s.Mover.CreationTimestamp.Time) >= protocol.MoverPatience &&
		s.Mover.Spec.NodeName != "" && moverpod.Waiting(s.Mover) == "":
		waiting = s.Mover
	default:
		return
	}
	var err error
	if s.Trouble, err = r.troubles.of(ctx, r.Live, s.Now, waiting); err != nil {
		log.FromContext(ctx).Info("Cannot read why it waits", "error", err.Error(), "after", troubleEvery)
	}
}
