// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
)

// choice is what of the control path a run measures.
type choice struct {
	form             form
	limits           []limits
	pairs, simulated bool
	profiles         string
}

func parseControl(args []string) (c choice, err error) {
	c = choice{form: full, limits: []limits{raised, defaults}, pairs: true, simulated: true}
	flags := flag.NewFlagSet("bench control", flag.ContinueOnError)
	only := flags.String("only", "", "pairs: leave out the simulated nodes; simulated: measure nothing else")
	held := flags.String("limits", "", "raised or default limits of the node's components; both when empty")
	flags.IntVar(&c.form.pairs, "pairs", full.pairs, "pairs of many claims; fewer than 5 are for development")
	flags.IntVar(&c.form.claims, "claims", full.claims, "claims at once")
	flags.StringVar(
		&c.profiles,
		"profiles",
		"",
		"directory for profiles of the manager's processor time and heap, from the simulated claims",
	)
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.pairs, c.simulated = *only != "simulated", *only != "pairs"
	switch *held {
	case "":
	case raised.name:
		c.limits = []limits{raised}
	case defaults.name:
		c.limits = []limits{defaults}
	default:
		return c, fmt.Errorf("--limits %q: use %s or %s", *held, raised.name, defaults.name)
	}
	known := slices.Contains([]string{"", "pairs", "simulated"}, *only)
	if !known || min(c.form.pairs, c.form.claims) < 1 || flags.NArg() > 0 {
		return c, errors.New(usage)
	}
	if c.form.pairs != full.pairs || c.form.claims != full.claims {
		c.form.prefix = "trial_"
	}
	return c, nil
}

// control measures with each of the limits; simulated nodes are the same in all.
func control(ctx context.Context, out io.Writer, args []string, env figures) error {
	c, err := parseControl(args)
	if err != nil {
		return err
	}
	all, want := []figures{env}, map[string]span{}
	for i, l := range c.limits {
		simulated := c.simulated && i == 0
		if !c.pairs && !simulated {
			continue
		}
		f, expected, err := controlWith(ctx, out, c, l, simulated)
		all = append(all, f.under(l))
		for k, s := range expected {
			want[l.prefix()+k] = s
		}
		if err != nil {
			return finish(out, c.form, all, nil, err)
		}
	}
	table(out, c.form, joined(all...))
	return finish(out, c.form, all, want, nil)
}

// controlWith measures on a node of its own.
func controlWith(
	ctx context.Context,
	out io.Writer,
	c choice,
	l limits,
	simulated bool,
) (f figures, want map[string]span, err error) {
	fmt.Fprintf(out, "a node whose components have their %s limits\n", l.name)
	f, want = figures{}, expectedOfManager(c.form, l)
	b, err := raise(ctx, out, c.form, l, c.profiles)
	if err != nil {
		return f, nil, err
	}
	defer func() { err = b.close(err) }() //nolint:contextcheck // It cleans up after an interrupt too.
	if f["node"], err = b.node(ctx, l); err != nil {
		return f, nil, err
	}
	if c.pairs {
		want = together(want, expectedOfPairs(c.form))
		if err := b.pairs(ctx, f); err != nil {
			return f, want, err
		}
		if err := b.health(ctx, f); err != nil {
			return f, want, err
		}
	}
	rss := f["rss_mb"] // Of real claims; the simulated ones have figures of their own.
	if simulated {
		want = together(want, expectedOfSimulation(c.form))
		if err := b.simulated(ctx, f); err != nil {
			return f, want, err
		}
	}
	err = b.health(ctx, f)
	if rss != nil {
		f["rss_mb"] = rss
	}
	return f, want, err
}
