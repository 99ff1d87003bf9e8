// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e tells what users of this project live through, on a real node, one story
// a file. A story compares bytes, not phases: what a second pod reads from the volume
// with what is in the bucket. Then it asserts that nothing of ours is left.
//
//	go test -tags e2e ./e2e                      all stories on a new node
//	E2E_KEEP=1 go test -tags e2e ./e2e -run X    and leave the node up
//	E2E_DIR=DIR go test -tags e2e ./e2e -run X   on the node that is up in DIR
package e2e

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

// world is the node that all stories share.
var world *story.World

// storiesAtOnce is more than two cores can run, because most of a story is waiting.
const storiesAtOnce = "6"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	set := map[string]string{}
	flag.Visit(func(f *flag.Flag) { set[f.Name] = f.Value.String() })
	if set["test.list"] != "" {
		return m.Run()
	}
	if _, chosen := set["test.parallel"]; !chosen {
		_ = flag.Set("test.parallel", storiesAtOnce) // the flag exists
	}
	if err := raise(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return world.End(m.Run(), set["test.run"] == "" && set["test.skip"] == "" && set["test.short"] == "")
}

// raise gives up at a signal. Later a signal ends this process, and with it the node.
func raise() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keep := os.Getenv("E2E_KEEP") != "" || os.Getenv("E2E_DIR") != ""
	world, err = story.Raise(ctx, story.Options{Dir: os.Getenv("E2E_DIR"), Keep: keep, Log: os.Stderr})
	return err
}
