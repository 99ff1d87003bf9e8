// SPDX-License-Identifier: Apache-2.0

// Command bench measures on a real node, side by side with what the node can do at
// best, and prints a table and, as its last line, one JSON object.
//
//	go run ./e2e/bench control   the control path: claims from one tiny source
//	go run ./e2e/bench tenants   a quiet tenant beside busy ones; fails when a promise is broken
//	go run ./e2e/bench webhook   admission: its cost, and refusals while certificates rotate
//
// Only tenants asserts something, and that is relative: absolute times differ from machine to machine, so a person, or a
// comparison of two runs on one machine, judges.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/s3populator/s3populator/e2e/story"
)

const usage = "usage: bench control [--small] [--real-only] | bench tenants [--small] | bench webhook"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	switch {
	case len(args) == 1 && args[0] == "webhook":
		return runAdmission(ctx, os.Stdout)
	case len(args) > 0 && args[0] == "tenants":
		return tenantsCommand(ctx, args[1:])
	case len(args) == 0 || args[0] != "control":
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("bench control", flag.ContinueOnError)
	small := flags.Bool("small", false, "a tenth of everything, to see that it works")
	realOnly := flags.Bool("real-only", false, "leave out the simulated nodes")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	world, err := story.Raise(ctx, story.Options{Skip: story.Unused, Measured: true, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close(err == nil)) }() //nolint:contextcheck // It cleans up after an interrupt too.
	b := &bench{world: world, out: os.Stdout, scale: 1, realOnly: *realOnly}
	if *small {
		b.scale = 10
	}
	figures, err := b.control(ctx)
	if err != nil {
		return err
	}
	figures.table(os.Stdout)
	return json.NewEncoder(os.Stdout).Encode(figures)
}

func tenantsCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench tenants", flag.ContinueOnError)
	small := flags.Bool("small", false, "a tenth of everything, to see that it works")
	if err := flags.Parse(args); err != nil {
		return err
	}
	scale := 1
	if *small {
		scale = 10
	}
	return runTenants(ctx, os.Stdout, scale)
}
