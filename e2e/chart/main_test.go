// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package chart tells what users of the Helm chart live through, on a real node that has
// this project from helm alone.
package chart

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/s3populator/s3populator/e2e/story"
)

// world is the node, with a release of this checkout's chart.
var world *story.World

const release = "s3populator"

// patience of helm and kubectl. Only a failure waits for it: two cores have other things to do, too.
const patience = "5m"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if err := raise(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return world.End(m.Run(), false)
}

func raise() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	world, err = story.Raise(ctx, story.Options{Skip: story.Unused, Install: installThis, Log: os.Stderr})
	return err
}

func installThis(ctx context.Context, w *story.World) error {
	chart, err := story.Checkout("manifests/chart")
	if err != nil {
		return err
	}
	return install(ctx, w, "install", chart)
}

// install is also how a release is upgraded, and comes back.
func install(ctx context.Context, w *story.World, verb, chart string, more ...string) error {
	args := []string{verb, release, chart, "--namespace", story.SystemNamespace, "--wait", "--timeout", patience}
	if verb == "install" {
		args = append(args, "--create-namespace")
	}
	_, err := w.Helm(ctx, append(args, more...)...)
	return err
}
