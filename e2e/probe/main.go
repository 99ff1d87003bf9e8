// SPDX-License-Identifier: Apache-2.0

// Command probe is the consumer in tests: a small static program that reads and
// writes volumes from within a pod and tells what it saw. It judges nothing; the
// test compares.
//
//	probe sha256 DIR             one JSON line for each entry below DIR
//	probe sha256-device DEV SIZE the checksum of a block device's first bytes
//	probe tree DIR               the same with times, links and owners' rights
//	probe odd DIR                files, links, attributes and directories that are easily lost
//	probe many DIR COUNT         so many small files
//	probe change DIR EVERY       text added to each so many-th of them
//	probe ls DIR                 the names below DIR
//	probe follow DIR END         a JSON line each time a file below DIR is another one, until END is there
//	probe cat FILE               what a file holds
//	probe write FILE SIZE        a file of that many bytes, synced
//	probe append FILE TEXT       text added to a file, synced
//	probe pair DIR               one number after another to two files in turn, synced, until it is told to end
//	probe write-device DEV SIZE  the same bytes onto a block device, synced
//	probe http-get URL           the answer's body; fails unless it is 2xx
//	probe tcp ADDRESS            connects and says "connected"
//	probe lookup NAME            the addresses of a name
//	probe sleep                  waits until it is told to end
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// command is a subcommand and the number of arguments it takes.
type command struct {
	args int
	run  func(ctx context.Context, out io.Writer, args []string) error
}

func commands() map[string]command {
	return map[string]command{
		"sha256":        {1, func(_ context.Context, out io.Writer, a []string) error { return listSums(out, a[0]) }},
		"tree":          {1, func(_ context.Context, out io.Writer, a []string) error { return listTree(out, a[0]) }},
		"odd":           {1, func(_ context.Context, _ io.Writer, a []string) error { return makeOdd(a[0]) }},
		"many":          {2, func(_ context.Context, _ io.Writer, a []string) error { return makeMany(a[0], a[1]) }},
		"change":        {2, func(_ context.Context, _ io.Writer, a []string) error { return changeMany(a[0], a[1]) }},
		"sha256-device": {2, func(_ context.Context, out io.Writer, a []string) error { return deviceSum(out, a[0], a[1]) }},
		"ls":            {1, func(_ context.Context, out io.Writer, a []string) error { return listNames(out, a[0]) }},
		"follow": {2, func(ctx context.Context, out io.Writer, a []string) error {
			return follow(ctx, out, a[0], a[1])
		}},
		"cat":          {1, func(_ context.Context, out io.Writer, a []string) error { return copyFile(out, a[0]) }},
		"write":        {2, func(_ context.Context, _ io.Writer, a []string) error { return writeFile(a[0], a[1]) }},
		"append":       {2, func(_ context.Context, _ io.Writer, a []string) error { return appendText(a[0], a[1]) }},
		"pair":         {1, func(ctx context.Context, _ io.Writer, a []string) error { return writePair(ctx, a[0]) }},
		"write-device": {2, func(_ context.Context, _ io.Writer, a []string) error { return writeDevice(a[0], a[1]) }},
		"http-get":     {1, func(ctx context.Context, out io.Writer, a []string) error { return httpGet(ctx, out, a[0]) }},
		"tcp":          {1, func(ctx context.Context, out io.Writer, a []string) error { return connect(ctx, out, a[0]) }},
		"lookup":       {1, func(ctx context.Context, out io.Writer, a []string) error { return lookup(ctx, out, a[0]) }},
		"sleep":        {0, func(ctx context.Context, _ io.Writer, _ []string) error { <-ctx.Done(); return nil }},
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errors.New("name a subcommand, such as: probe sha256 DIR")
	}
	c, ok := commands()[args[0]]
	if !ok {
		return fmt.Errorf("unknown subcommand %q", args[0])
	}
	if len(args)-1 != c.args {
		return fmt.Errorf("%s takes %d arguments, got %d", args[0], c.args, len(args)-1)
	}
	return c.run(ctx, out, args[1:])
}
