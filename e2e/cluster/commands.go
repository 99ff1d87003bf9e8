// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/daemon"
	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/cluster/inside"
	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

const usage = "usage: cluster up|down|exec|status|tools|envtest|image [flags]; -h after a command lists its flags"

// dispatch runs one command. "serve" and "init" are how this program starts
// itself; people have no use for them.
func dispatch(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"up": up, "down": down, "exec": run, "status": status, "tools": tools, "envtest": envtest, "image": images,
		"serve": serve, "init": initialise,
	}
	if len(args) == 0 {
		return errors.New(usage)
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("unknown command %q; %s", args[0], usage)
	}
	err := command(ctx, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// newFlags knows the flag that all commands on a node share.
func newFlags(name string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet("cluster "+name, flag.ContinueOnError)
	dir := flags.String("dir", filepath.Join(os.TempDir(), "s3populator"), "run directory of the node")
	return flags, dir
}

func up(ctx context.Context, args []string) error {
	flags, dir := newFlags("up")
	skip := flags.String("skip", "", "comma-separated components to leave out, such as snapshot-controller")
	targets := flags.String(
		"images",
		"pause,probe",
		"comma-separated images to build and load: "+strings.Join(image.Targets(), ", "),
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	n, err := node.Up(
		ctx,
		node.Options{Dir: *dir, Components: node.Components{Skip: split(*skip)}, Images: split(*targets), Log: os.Stderr},
	)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", n.Kubeconfig())
	return nil
}

func down(ctx context.Context, args []string) error {
	flags, dir := newFlags("down")
	keep := flags.Bool("keep-logs", false, "leave the logs in the run directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return node.Remove(ctx, *dir, *keep)
}

// spoken is the exit code of a command that has said itself what was wrong.
type spoken int

func (s spoken) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func run(ctx context.Context, args []string) error {
	flags, dir := newFlags("exec")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("exec: name the command to run inside, after --")
	}
	n, err := node.Connect(*dir)
	if err != nil {
		return err
	}
	cmd := n.Command(ctx, flags.Arg(0), flags.Args()[1:]...)
	cmd.SysProcAttr.Setpgid = false // the terminal's signals and input reach the command itself
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return spoken(exit.ExitCode())
	}
	return err
}

func status(_ context.Context, args []string) error {
	flags, dir := newFlags("status")
	if err := flags.Parse(args); err != nil {
		return err
	}
	n, err := node.Connect(*dir)
	if err != nil {
		return err
	}
	fmt.Print(n.Diagnose())
	return nil
}

func serve(_ context.Context, args []string) error {
	flags, dir := newFlags("serve")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return daemon.Serve(rundir.Dir(*dir)) //nolint:contextcheck // It knows itself when to end, and in which order.
}

func initialise(_ context.Context, args []string) error {
	flags, dir := newFlags("init")
	if err := flags.Parse(args); err != nil {
		return err
	}
	unix.CloseOnExec(daemon.ReadyFD)
	ready := os.NewFile(daemon.ReadyFD, "ready")
	return inside.Run(rundir.Dir(*dir), ready) //nolint:contextcheck // The daemon ends it by killing it.
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
