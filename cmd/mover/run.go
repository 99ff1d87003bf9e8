// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // The image is made from scratch and has no roots of its own.

	"github.com/s3populator/s3populator/mover"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// run parses, moves and reports. It returns the exit code.
func run(args []string, getenv func(string) string, log io.Writer) int {
	if len(args) == 1 && args[0] == wire.ConsumerArgument {
		return 0
	}
	o, err := parse(args, getenv)
	if err != nil {
		return finish(o.terminationLog, log, wire.Report{Class: wire.User, Reason: wire.MoverBroken, Message: err.Error()})
	}
	limitMemory(o)
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	end := onSignal(o.terminationLog, log, stop)
	o.mover.Log = log
	report := mover.Run(ctx, o.request, o.mover)
	end()
	return finish(o.terminationLog, log, report)
}

// onSignal ends the attempt when the pod is told to end. A report is left at
// once: the last checkpoint may take longer than the grace period. After end nothing is
// written any more, so that the report of how the attempt really ended stays; signals are
// still caught, because one would end the process before that is written.
func onSignal(terminationLog string, log io.Writer, stop context.CancelCauseFunc) (end func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			_, _ = fmt.Fprintf(log, "%v: stopping\n", s)
			write(terminationLog, log, fault.InterruptedReport())
			stop(fault.ErrTerminated)
		case <-done:
		}
	}()
	return func() { close(done); <-ended }
}

// finish leaves the report and returns its exit code.
func finish(terminationLog string, log io.Writer, r wire.Report) int {
	write(terminationLog, log, r)
	return r.Class.ExitCode()
}

func write(path string, log io.Writer, r wire.Report) {
	// The kubelet made the file; it is written in place, never replaced.
	if err := os.WriteFile(path, r.Encode(), 0o600); err != nil {
		_, _ = fmt.Fprintf(log, "write report: %v\n", err)
	}
}

// limitMemory has this process and mc stay below the limit of the pod.
func limitMemory(o *options) {
	limit := cgroupLimit("/sys/fs/cgroup")
	if limit == 0 {
		return
	}
	s := divide(limit, o.request.Transfer.Engine == wire.EngineMC)
	debug.SetMemoryLimit(s.own)
	o.mover.MCMemory, o.mover.Memory = s.mc, s.buffers
}

// shares of the memory of a pod, in bytes.
type shares struct {
	own, mc int64 // Soft limits of the processes.
	buffers int64 // Part of own.
}

// divide gives each process a soft limit, so that garbage is collected before the kernel kills. The rest is for
// programs, for buffers of the kernel and for page tables. What is in use, as the plan, is not bounded by it.
func divide(limit int64, withMC bool) shares {
	s := shares{own: limit / 4 * 3, buffers: limit / 8}
	if withMC {
		s.own, s.mc = limit/5*2, limit/5*2
	}
	return s
}

var errUsage = errors.New("usage: mover [--termination-log FILE] [--mc FILE] REQUEST [PIECE ...]")

// options are the parsed command line.
type options struct {
	terminationLog string
	request        wire.Request
	mover          mover.Options
}

func parse(args []string, getenv func(string) string) (*options, error) {
	o := &options{mover: mover.Options{Paths: mover.DefaultPaths(), Getenv: getenv, PodUID: getenv(wire.PodUIDVariable)}}
	flags := flag.NewFlagSet("mover", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.terminationLog, "termination-log", wire.TerminationPath, "where the report is written")
	flags.StringVar(&o.mover.MC, "mc", "/mc", "the MinIO client")
	p := &o.mover.Paths
	flags.StringVar(&p.Volume, "volume", p.Volume, "mount point of the volume")
	flags.StringVar(&p.Device, "device", p.Device, "device of a Block volume")
	flags.StringVar(&p.Scratch, "scratch", p.Scratch, "memory-backed directory")
	flags.StringVar(&p.Credentials, "credentials", p.Credentials, "directory of the mounted Secret")
	flags.StringVar(&p.CABundles, "ca-bundles", p.CABundles, "directory of the CA bundles")
	flags.StringVar(&p.ProgressToken, "progress-token", p.ProgressToken, "token for progress messages")
	flags.StringVar(&p.IdentityToken, "identity-token", p.IdentityToken, "token for the STS")
	flags.DurationVar(&o.mover.IdleTimeout, "idle-timeout", 0, "how long mc may be idle")
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() == 0 {
		return o, errUsage
	}
	var err error
	o.request, err = wire.ParseArgs(flags.Args())
	return o, err //nolint:wrapcheck // It says "parse request" itself.
}
