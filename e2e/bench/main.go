// SPDX-License-Identifier: Apache-2.0

// Command bench measures on a real node, side by side with what the node can do at
// best, and prints a table and, as its last line, one JSON object.
//
//	go run ./e2e/bench control   the control path: claims from one tiny source
//	go run ./e2e/bench tenants   a quiet tenant beside busy ones; fails when a promise is broken
//	go run ./e2e/bench webhook   admission: its cost, and refusals while certificates rotate
//	go run ./e2e/bench short     a short form of all three on one node, to see that they work
//
// Absolute times differ from machine to machine, so that a person, or a comparison of two runs
// on one machine, judges them. What fails a run: a figure that is missing or cannot be true, a
// volume that does not hold what it must, a broken invariant, a manager that was restarted,
// and a promise of tenants.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = "usage: bench control [--limits raised|default] [--only pairs|simulated] [--pairs N] [--claims N]" +
	" [--profiles DIR] | bench tenants | bench webhook | bench short"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	env := figures{}
	if err := environment(ctx, env); err != nil {
		return err
	}
	switch name := args[0]; {
	case name == "control":
		return control(ctx, out, args[1:], env)
	case name == "tenants" && len(args) == 1:
		f, err := runTenants(ctx, out, full)
		return finish(out, full, []figures{env, f}, expectedOfTenants(full), err)
	case name == "webhook" && len(args) == 1:
		f, err := runAdmission(ctx, out, full)
		return finish(out, full, []figures{env, f}, expectedOfAdmission(), err)
	case name == "short" && len(args) == 1:
		return runShort(ctx, out, env)
	}
	return errors.New(usage)
}

// finish prints the figures, also those of a run that failed, and fails where one is missing
// or cannot be true.
func finish(out io.Writer, form form, parts []figures, want map[string]span, err error) error {
	all := joined(parts...)
	if err != nil && len(all) == 0 {
		return err
	}
	return errors.Join(err, all.check(want), all.write(out, form.prefix))
}
