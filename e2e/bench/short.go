// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
)

// runShort takes all ways on one node. Nothing was started on it before, so that a mover may be told of that waits.
func runShort(ctx context.Context, out io.Writer, env figures) error {
	f := figures{}
	a, err := measureLoad(ctx, short.load)
	if a == (admission{}) {
		return err
	}
	a.put(f) // A promise that a busy machine does not keep is no matter of this form.
	b, err := raise(ctx, out, short, raised, "")
	if err != nil {
		return err
	}
	err = b.all(ctx, f)
	err = errors.Join(err, b.world.Close(err == nil)) //nolint:contextcheck // It cleans up after an interrupt too.
	want := together(
		expectedOfPairs(short),
		expectedOfManager(short, raised),
		expectedOfSimulation(short),
		expectedOfTenants(short),
		expectedOfAdmission(),
		map[string]span{
			"warnings": {0, float64(2 * (short.singles + short.pairs*short.claims + short.few + short.many))},
			"p99_ms":   {0.01, 60000},
		},
	)
	return finish(out, short, []figures{env, f}, want, err)
}

// all measures everything that needs a node, on one. Tenants come last: they provoke warnings.
func (b *bench) all(ctx context.Context, f figures) (err error) {
	if err := b.pairs(ctx, f); err != nil {
		return err
	}
	if err := b.reviews(ctx, f); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, err := b.startSimulation(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := b.simulatedClaims(ctx, f); err != nil {
		return err
	}
	if err := b.health(ctx, f); err != nil {
		return err
	}
	return b.tenants(ctx, f)
}
