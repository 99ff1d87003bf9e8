// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

func tools(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cluster tools", flag.ContinueOnError)
	arch := flags.String("arch", runtime.GOARCH, "architecture to build for")
	into := flags.String("into", "", "directory to copy the binaries and their licenses to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cache, err := toolchain.Open(os.Stderr)
	if err != nil {
		return err
	}
	cache.Arch = *arch
	names := flags.Args()
	if len(names) == 0 {
		names = toolchain.Names()
	}
	paths, err := cache.Ensure(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range slices.Compact(names) {
		fmt.Println(paths[name])
		if *into == "" {
			continue
		}
		if err := cache.Install(ctx, name, *into); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	return nil
}

func images(ctx context.Context, args []string) error {
	for _, target := range args {
		archive, err := image.Build(ctx, target)
		if err != nil {
			return err
		}
		fmt.Println(archive)
	}
	return nil
}

func envtest(ctx context.Context, _ []string) error {
	cache, err := toolchain.Open(os.Stderr)
	if err != nil {
		return err
	}
	dir, err := cache.EnvtestAssets(ctx)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}
