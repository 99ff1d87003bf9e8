// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/story"
)

// bench measures on one node.
type bench struct {
	world *story.World
	out   io.Writer
	form  form
	// profiles is a directory for profiles of the manager; empty takes none.
	profiles string
	// replicas are those of the manager that are to live as long as the measurement.
	replicas consumption
	// warned counts how often each Warning event of the manager was told; butPending leaves out
	// those of movers that wait for their node.
	warned, butPending map[types.UID]int
	// past is what went wrong in replicas that were replaced on purpose.
	past consumption
	// restoreCaps gives the manager the caps of movers that it is shipped with.
	restoreCaps func(context.Context) error
}

// raise starts a node whose components run with these limits, with the manager's caps above
// whatever is measured.
func raise(ctx context.Context, out io.Writer, f form, l limits, profiles string) (b *bench, err error) {
	world, err := story.Raise(ctx, story.Options{Skip: story.Unused, Measured: true, Args: l.args, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	b = &bench{
		world: world, out: out, form: f, profiles: profiles,
		warned: map[types.UID]int{}, butPending: map[types.UID]int{},
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, world.Close(false)) //nolint:contextcheck // It cleans up after an interrupt too.
	}
	return b, nil
}

// close removes the node, and adds to an error what went wrong with that.
func (b *bench) close(err error) error { return errors.Join(err, b.world.Close(err == nil)) }

func (b *bench) prepare(ctx context.Context) (err error) {
	args := b.form.rotating
	if b.profiles != "" {
		args = append(slices.Clip(args), "--pprof-address=:"+profilePort)
	}
	if _, err := b.world.ManagerArgs(ctx, args...); err != nil {
		return err
	}
	b.restoreCaps, err = b.world.ManagerArgs(ctx,
		fmt.Sprintf("--max-movers=%d", 2*full.many), fmt.Sprintf("--max-movers-per-namespace=%d", 2*full.many))
	if err != nil {
		return err
	}
	archive, err := image.Build(ctx, "floor")
	if err != nil {
		return err
	}
	if b.replicas, err = b.manager(ctx); err != nil {
		return err
	}
	return b.world.Node.LoadImages(ctx, archive)
}

// pairs measures the floor and us, single claims first, then many at once. The first pair is
// thrown away: caches of disks and programs are cold for it.
func (b *bench) pairs(ctx context.Context, f figures) error {
	var singles, many []pair
	if b.form.warmUp > 0 {
		if _, err := b.pair(ctx, "warm-up", 0, b.form.warmUp, false); err != nil {
			return err
		}
	}
	for i := range b.form.singles {
		p, err := b.pair(ctx, fmt.Sprintf("1-%d", i), i, 1, false)
		if err != nil {
			return err
		}
		singles = append(singles, p)
	}
	put(f, 1, singles)
	for i := range b.form.pairs {
		p, err := b.pair(ctx, fmt.Sprintf("%d-%d", b.form.claims, i), i, b.form.claims, i == 0)
		if err != nil {
			return err
		}
		many = append(many, p)
	}
	put(f, b.form.claims, many)
	first := many[0]
	f["floor_requests"], f["requests_per_claim"] = first.floor.requests.total(), first.ours.requests.total()
	f["leftovers"] = first.ours.leftovers
	f["cpu_ms_per_claim"], f["floor_cpu_ms"] = 1000*first.ours.processor[""], 1000*first.floor.processor[""]
	compare(b.out, first.floor.requests, first.ours.requests)
	compareTime(b.out, first.floor.processor, first.ours.processor)
	return nil
}

// pair measures both once. In detail: requests are counted, and what is left, after a rest
// that counts to no figure.
func (b *bench) pair(ctx context.Context, name string, i, n int, detailed bool) (p pair, err error) {
	floor := func() (err error) {
		p.floor, err = b.floor(ctx, "floor-"+name, n, detailed)
		return err
	}
	ours := func() (err error) {
		p.ours, err = b.populate(ctx, "bound-"+name, n, detailed)
		return err
	}
	if floorFirst(i) {
		err = errors.Join(floor(), ours())
	} else {
		err = errors.Join(ours(), floor())
	}
	if err == nil {
		fmt.Fprintf(b.out, "  ratio %.2f, of ended containers %.2f, of readers %.2f\n",
			p.ours.done/p.floor.ended, p.ours.ended/p.floor.ended, p.ours.read/p.floor.read)
	}
	return p, err
}
