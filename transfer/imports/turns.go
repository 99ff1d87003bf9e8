// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// turns remember which import was let into each claim: two that are looked at at the same moment see neither mover of
// the other. The zero value is ready for use.
type turns struct {
	mu   sync.Mutex
	held map[types.UID]types.NamespacedName // By the UID of the claim.
}

// take lets an import into a claim, and is the name of another that is in it already.
func (t *turns) take(claim types.UID, run types.NamespacedName) (other string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if holder, ok := t.held[claim]; ok && holder != run {
		return holder.Name
	}
	if t.held == nil {
		t.held = map[types.UID]types.NamespacedName{}
	}
	t.held[claim] = run
	return ""
}

// leave is for an import that is over, gone, or has no mover and wants none.
func (t *turns) leave(run types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for claim, holder := range t.held {
		if holder == run {
			delete(t.held, claim)
		}
	}
}
