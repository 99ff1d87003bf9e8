// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/e2e/story"
)

// rest is how long after the last claim is Bound nothing of ours may be left.
const rest = 20 * time.Second

// singles is how many claims are measured one by one; their median counts.
const singles = 3

type bench struct {
	world *story.World
	out   io.Writer
	scale int // 10 measures a tenth
	// realOnly leaves out the simulated nodes.
	realOnly bool
}

// control measures the floor and us in turns, so that a machine that grows slower does so
// for both.
func (b *bench) control(ctx context.Context) (*figures, error) {
	f := &figures{}
	many := 50 / b.scale
	var floors, ours []float64
	for i := range singles {
		floor, _, err := b.floor(ctx, fmt.Sprintf("floor-1-%d", i), 1)
		if err != nil {
			return nil, err
		}
		bound, err := b.populate(ctx, fmt.Sprintf("bound-1-%d", i), 1)
		if err != nil {
			return nil, err
		}
		floors, ours = append(floors, floor), append(ours, bound.seconds)
	}
	f.Floor1, f.Bound1 = median(floors), median(ours)
	var err error
	if f.Floor50, f.floorRequests, err = b.floor(ctx, "floor-50", many); err != nil {
		return nil, err
	}
	bound, err := b.populate(ctx, "bound-50", many)
	if err != nil {
		return nil, err
	}
	f.Bound50, f.RequestsPerClaim, f.Leftovers = bound.seconds, bound.requests.total(), bound.leftovers
	f.requests = bound.requests
	if f.RSS, _, err = b.manager(ctx); err != nil {
		return nil, err
	}
	if f.Warnings, err = b.warnings(ctx); err != nil {
		return nil, err
	}
	if b.realOnly {
		return f, nil
	}
	return f, b.simulated(ctx, f)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// floor is what the node needs for pods that each write one file into a claim of their own.
func (b *bench) floor(ctx context.Context, namespace string, n int) (seconds float64, requests asked, err error) {
	fmt.Fprintf(b.out, "%s: %d pods that write a file\n", namespace, n)
	if err := b.namespace(ctx, namespace); err != nil {
		return 0, nil, err
	}
	meter, err := newMeter(b.world)
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	for i := range n {
		claim := b.claim(namespace, fmt.Sprintf("data-%d", i), story.Claim{})
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claim.Name},
			Spec:       story.PodSpec(claim.Name, false, false, "write", story.MountPath+"/file", "1024"),
		}
		for _, o := range []client.Object{claim, pod} {
			if err := b.world.Client.Create(ctx, o); err != nil {
				return 0, nil, fmt.Errorf("create %s: %w", o.GetName(), err)
			}
		}
	}
	err = awaitAll(ctx, func(ctx context.Context) (watch.Interface, error) {
		return b.world.Kube.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{})
	}, n, func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
	seconds = time.Since(began).Seconds()
	fmt.Fprintf(b.out, "  %.1f s\n", seconds)
	if err != nil {
		return 0, nil, err
	}
	if n > 1 {
		if err := sleep(ctx, rest); err != nil { // as long as ours are counted
			return 0, nil, err
		}
	}
	requests, err = meter.read(n)
	return seconds, requests, errors.Join(err, b.remove(ctx, namespace))
}

// population is what filling n claims at once took.
type population struct {
	seconds   float64
	requests  asked
	leftovers int
}

func (b *bench) populate(ctx context.Context, namespace string, n int) (p population, err error) {
	fmt.Fprintf(b.out, "%s: %d claims that name a source of one small object\n", namespace, n)
	if err := b.namespace(ctx, namespace); err != nil {
		return p, err
	}
	if err := b.source(ctx, namespace); err != nil {
		return p, err
	}
	meter, err := newMeter(b.world)
	if err != nil {
		return p, err
	}
	began := time.Now()
	for i := range n {
		if err := b.world.Client.Create(ctx, b.claim(namespace, fmt.Sprintf("data-%d", i), story.Claim{Source: sourceName})); err != nil {
			return p, fmt.Errorf("create claim: %w", err)
		}
	}
	if err := b.boundClaims(ctx, namespace, n); err != nil {
		return p, err
	}
	p.seconds = time.Since(began).Seconds()
	fmt.Fprintf(b.out, "  %.1f s\n", p.seconds)
	if n > 1 {
		if err := sleep(ctx, rest); err != nil {
			return p, err
		}
		if p.leftovers, err = b.leftovers(ctx, namespace); err != nil {
			return p, err
		}
		if p.requests, err = meter.read(n); err != nil {
			return p, err
		}
	}
	return p, b.remove(ctx, namespace)
}
