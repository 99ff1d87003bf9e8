// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job on a real Kubernetes node: a claim that names an
// S3Source comes up Bound and full. It brings up everything that it needs, compares every
// byte, and removes everything again unless it is told to keep it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	keep := flag.Bool("keep", false, "leave the cluster up and say how to use it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *keep, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: failed:", err)
		os.Exit(1)
	}
}
