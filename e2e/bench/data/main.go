// SPDX-License-Identifier: Apache-2.0

// Command data measures how fast the mover fills a volume, beside other programs that copy
// from S3, beside a client that throws every byte away, and beside dd. The servers, real
// ones, run on the same machine. Every copy is compared with what was uploaded.
//
//	go run ./e2e/bench/data                     all sets on tmpfs, five rounds
//	go run ./e2e/bench/data --sets small,mib    some of them
//	go run ./e2e/bench/data --targets disk      on disk
//	go run ./e2e/bench/data --short             tiny sets, one round: does it still work?
//	go run ./e2e/bench/data --render            only what is stored of earlier runs
//
// Results are stored per set, outside of the checkout, and docs/benchmarks.md is written
// from all that are stored. The last line is one JSON object with the figures of the sets
// that were run. It asserts nothing about speed: a person judges.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-data:", err)
		os.Exit(1)
	}
}

// choice is the parsed command line.
type choice struct {
	sets, targets []string
	rounds        int
	short, render bool
}

func run(ctx context.Context, args []string) error {
	if len(args) == 4 && args[0] == limit {
		connections, err := strconv.Atoi(args[3])
		if err != nil {
			return fmt.Errorf("read the number of connections: %w", err)
		}
		return runLimit(ctx, args[1], args[2], connections)
	}
	c, err := parse(args)
	if err != nil {
		return err
	}
	cache, err := toolchain.Open(os.Stderr)
	if err != nil {
		return err
	}
	b := &bench{out: os.Stdout, cache: cache.Root, rounds: c.rounds, short: c.short}
	document := filepath.Join(cache.Source, "docs", "benchmarks.md")
	if c.render {
		return b.render(document)
	}
	b.binaries, err = cache.Ensure(ctx, "versitygw", "minio", "mc", "s5cmd", "rclone")
	if err != nil {
		return err
	}
	if b.binaries["mover"], err = cache.Local(ctx, "./cmd/mover"); err != nil {
		return err
	}
	results, resumes, err := b.measure(ctx, c)
	if err != nil {
		return err
	}
	if c.short {
		fmt.Fprint(b.out, markdown(results, resumes))
	} else if err := b.render(document); err != nil {
		return err
	}
	return json.NewEncoder(b.out).Encode(summary(results, resumes))
}

func parse(args []string) (c choice, err error) {
	names := make([]string, 0, len(sets)+1)
	for _, s := range sets {
		names = append(names, s.name)
	}
	names = append(names, resumeName)
	flags := flag.NewFlagSet("bench data", flag.ContinueOnError)
	chosen := flags.String("sets", strings.Join(names, ","), "sets to measure")
	targets := flags.String("targets", onMemory, "tmpfs, disk, or both with a comma")
	flags.IntVar(&c.rounds, "rounds", 5, "how often each tool runs")
	flags.BoolVar(&c.short, "short", false, "tiny sets and one round, to see that it works; stores nothing")
	flags.BoolVar(&c.render, "render", false, "only write the document from stored results")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.sets, c.targets = strings.Split(*chosen, ","), strings.Split(*targets, ",")
	for _, s := range c.sets {
		if !slices.Contains(names, s) {
			return c, fmt.Errorf("--sets: there is no set %q; there are %s", s, strings.Join(names, ","))
		}
	}
	for _, t := range c.targets {
		if t != onMemory && t != onDisk {
			return c, fmt.Errorf("--targets: %q is neither %s nor %s", t, onMemory, onDisk)
		}
	}
	if c.short {
		c.rounds = 1
	}
	if c.rounds < 1 || flags.NArg() > 0 {
		return c, fmt.Errorf("--rounds must be at least 1, and there are no arguments beside the flags: %v", flags.Args())
	}
	return c, nil
}

// measure runs what was chosen and stores each result as soon as it is there.
func (b *bench) measure(ctx context.Context, c choice) (results []*result, resumes *resumption, err error) {
	for _, s := range sets {
		for _, target := range c.targets {
			if !slices.Contains(c.sets, s.name) {
				continue
			}
			measured := b.measureSet
			if s.upload {
				measured = b.measureUploads
			}
			r, err := measured(ctx, s, target)
			if err != nil {
				return nil, nil, err
			}
			results = append(results, r)
			if err := b.keep(s.name+"-"+target, r); err != nil {
				return nil, nil, err
			}
		}
	}
	if slices.Contains(c.sets, resumeName) {
		if resumes, err = b.measureResume(ctx); err != nil {
			return nil, nil, err
		}
		return results, resumes, b.keep(resumeName, resumes)
	}
	return results, nil, nil
}

func (b *bench) keep(name string, value any) error {
	if b.short {
		return nil
	}
	return b.stored().write(name, value)
}

// render writes the document from all results that are stored.
func (b *bench) render(document string) error {
	results, resumes, err := b.stored().read()
	if err != nil {
		return err
	}
	return updateDocument(document, markdown(results, resumes))
}
