// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ManagerWell is an error when a replica of the manager was restarted, died or panicked,
// also one that is gone.
func (w *World) ManagerWell() error { return errors.Join(w.managers.well(), panics(w.managerLogDir())) }

// BrokenInvariants are those that a namespace has seen broken, and the writes of the manager that
// it may not make; it is asked when all of the namespace is gone. That nothing was observed is
// among them.
func (w *World) BrokenInvariants(namespace string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), settling)
	defer cancel()
	var broken []string
	_ = await(ctx, w.Seen.Changed, func() error { // what is broken is returned
		if err := w.judgeNewWrites(); err != nil {
			broken = []string{err.Error()}
			return err
		}
		w.Seen.mu.Lock()
		defer w.Seen.mu.Unlock()
		broken = append(w.Seen.invariants.verdict(namespace), w.Seen.wrongWrites(namespace)...)
		broken = append(broken, w.Seen.unseen(namespace)...)
		return complaints(broken)
	})
	return broken
}

// unseen compares what the watches showed of a namespace in which every claim was bound with what
// the audit log tells: as many claims as the manager made primes.
func (o *Observer) unseen(namespace string) []string {
	made, bound := map[string]bool{}, 0
	for _, prime := range o.primes {
		if strings.HasPrefix(prime, namespace+"/") {
			made[prime] = true
		}
	}
	for _, c := range o.invariants.claims {
		isBound := func(b bind) bool { return b.volume != "" }
		if c.namespace == namespace && slices.ContainsFunc(c.binds, isBound) {
			bound++
		}
	}
	if len(made) == 0 || bound < len(made) {
		return []string{fmt.Sprintf("the manager made primes for %d claims, and %d were seen to be bound", len(made), bound)}
	}
	return nil
}
