// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
)

// ManagerWell is an error when a replica of the manager was restarted, died or panicked,
// also one that is gone.
func (w *World) ManagerWell() error { return errors.Join(w.managers.well(), panics(w.managerLogDir())) }

// BrokenInvariants are those that a namespace has seen broken; it is asked when all of the
// namespace is gone.
func (w *World) BrokenInvariants(namespace string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), settling)
	defer cancel()
	var broken []string
	_ = await(ctx, w.Seen.Changed, func() error { // what is broken is returned
		w.Seen.mu.Lock()
		defer w.Seen.mu.Unlock()
		broken = w.Seen.invariants.verdict(namespace)
		return complaints(broken)
	})
	return broken
}
