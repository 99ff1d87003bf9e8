// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Bounds of listing all volumes from the API server.
const (
	// volumesPage is how many volumes are held in memory at once.
	volumesPage = 500
	// volumesLimit ends a list that the API server does not answer.
	volumesLimit = 2 * time.Minute
)

// claimedVolumes answers, from the API server itself, whether any volume names a claim. At
// most one list is under way at a time, and everybody who asked before it began shares its
// answer, so that a thousand claims cost as much as two. Its zero value is ready for use.
type claimedVolumes struct {
	mu      sync.Mutex
	running *volumeList // Began already; too old for whoever asks now.
	next    *volumeList // Begins when running ends.
}

// volumeList is one list of all volumes: only the claims that they name are kept.
type volumeList struct {
	claims map[types.UID]struct{}
	err    error
	done   chan struct{}
}

// has lists what the API server had at the time of the call, or later.
func (c *claimedVolumes) has(ctx context.Context, from client.Reader, claim types.UID) (bool, error) {
	l := c.join(ctx, from)
	select {
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-l.done:
	}
	if l.err != nil {
		return false, l.err
	}
	_, ok := l.claims[claim]
	return ok, nil
}

// join takes part in a list that has not begun.
func (c *claimedVolumes) join(ctx context.Context, from client.Reader) *volumeList {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &volumeList{done: make(chan struct{})}
		if c.running == nil {
			c.begin(ctx, from)
			return c.running
		}
	}
	return c.next
}

// begin runs the next list. Who asked for it may leave; the others still wait for it.
func (c *claimedVolumes) begin(ctx context.Context, from client.Reader) {
	c.running, c.next = c.next, nil
	l := c.running
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), volumesLimit)
		defer cancel()
		l.claims, l.err = claimsOfVolumes(ctx, from)
		close(l.done)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = nil
		if c.next != nil {
			c.begin(ctx, from)
		}
	}()
}

// claimsOfVolumes are the UIDs in the claimRefs of all volumes. The pages are of one moment,
// or the API server refuses to go on (410).
func claimsOfVolumes(ctx context.Context, from client.Reader) (map[types.UID]struct{}, error) {
	claims := map[types.UID]struct{}{}
	next := ""
	for {
		var page corev1.PersistentVolumeList
		if err := from.List(ctx, &page, client.Limit(volumesPage), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("page of %d: %w", volumesPage, err)
		}
		for i := range page.Items {
			if ref := page.Items[i].Spec.ClaimRef; ref != nil && ref.UID != "" {
				claims[ref.UID] = struct{}{}
			}
		}
		if next = page.Continue; next == "" {
			return claims, nil
		}
	}
}
