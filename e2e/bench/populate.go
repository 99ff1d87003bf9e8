// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// populate is what filling n claims at once takes, each from one small object.
func (b *bench) populate(ctx context.Context, namespace string, n int, detailed bool) (m measurement, err error) {
	fmt.Fprintf(b.out, "%s: %d claims that name a source of one small object\n", namespace, n)
	if err := b.namespace(ctx, namespace); err != nil {
		return m, err
	}
	source, err := b.source(ctx, namespace)
	if err != nil {
		return m, err
	}
	meter, err := newMeter(b.world)
	if err != nil {
		return m, err
	}
	m.processor, err = processorTimeOf(n, func() (err error) {
		m.ended, m.done, err = b.fillReally(ctx, namespace, n)
		return err
	})
	if err != nil {
		return m, err
	}
	fmt.Fprintf(b.out, "  movers ended after %.1f s, Bound after %.1f s\n", m.ended, m.done)
	if detailed {
		if m.leftovers, err = b.settled(ctx, namespace); err != nil {
			return m, err
		}
		if m.requests, err = meter.read(n); err != nil {
			return m, err
		}
	}
	if m.read, err = b.readers(ctx, namespace, n, holds(fileName, object)); err != nil {
		return m, err
	}
	m.read += m.done
	if err := b.checkSoon(ctx, namespace, n, promise{len(object), source.Status.Inventory.Digest}); err != nil {
		return m, err
	}
	return m, b.endOfOurs(ctx, namespace)
}

// fillReally makes n claims and waits until each has its volume.
func (b *bench) fillReally(ctx context.Context, namespace string, n int) (ended, bound float64, err error) {
	began := time.Now()
	group, watching := errgroup.WithContext(ctx)
	watching, cancel := context.WithCancel(watching)
	defer cancel()
	group.Go(func() error {
		err := b.endedPods(watching, namespace, v1alpha1.LabelRole+"="+v1alpha1.RolePopulate, moverpod.ContainerName, n)
		ended = time.Since(began).Seconds()
		return err
	})
	group.Go(func() error {
		err := b.boundClaims(watching, namespace, n)
		bound = time.Since(began).Seconds()
		return err
	})
	for i := range n {
		claim := b.claim(namespace, claimName(i), story.Claim{Source: sourceName})
		if err := b.world.Client.Create(ctx, claim); err != nil {
			cancel()
			return 0, 0, errors.Join(fmt.Errorf("create claim: %w", err), group.Wait())
		}
	}
	err = group.Wait()
	return ended, bound, err
}

// endOfOurs notes what the manager warned of while it can still be read, removes the
// namespace, and judges what it went through.
func (b *bench) endOfOurs(ctx context.Context, namespace string) error {
	if err := b.noteWarnings(ctx); err != nil {
		return err
	}
	if err := b.remove(ctx, namespace); err != nil {
		return err
	}
	var errs []error
	for _, broken := range b.world.BrokenInvariants(namespace) { //nolint:contextcheck // It reads what was observed.
		errs = append(errs, fmt.Errorf("invariant broken: %s", broken))
	}
	return errors.Join(errs...)
}
