// SPDX-License-Identifier: Apache-2.0

package story

import "context"

// ManagerWell is an error when a replica of the manager was restarted or panicked.
func (w *World) ManagerWell(ctx context.Context) error { return w.managerWell(ctx) }

// BrokenInvariants are those that a namespace has seen broken; it is asked when all of the
// namespace is gone.
func (w *World) BrokenInvariants(namespace string) []string { return w.Seen.verdict(namespace) }
