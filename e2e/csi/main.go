// SPDX-License-Identifier: Apache-2.0

// Command csi is the CSI driver of the end-to-end tests: real volumes of a real size on one node,
// and a socket by which tests make it misbehave. It is no driver for data that anyone wants to
// keep.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/csi/loop"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "csi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args, os.Stderr, driver.Name)
	if err != nil {
		return err
	}
	if o.release {
		return release(o.data)
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	return serve(ctx, o, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

// release frees the devices of a node that was killed. The kernel names backing files by their real path.
func release(data string) error {
	resolved, err := filepath.EvalSymlinks(data)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resolve data directory: %w", err)
	}
	if resolved, err = filepath.Abs(resolved); err != nil {
		return fmt.Errorf("resolve data directory: %w", err)
	}
	return loop.ReleaseUnder(resolved)
}
